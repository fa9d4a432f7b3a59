"use strict";
// The options in which two runs differ, as a diff.

class Configs {
  constructor() {
    const options = DATA.members.flatMap((member, i) => member.options ? [[String(i), nameOf(i)]] : []);
    this.sides = [options[0], options.at(-1)].map(([value]) => Number(value));
    this.text = element("pre", {class: "diff", tabindex: "0", role: "status"});
    const pick = (name, side) => choice(name, options, String(this.sides[side]), (value) => {
      this.sides[side] = Number(value);
      this.render();
    });
    this.node = element("div", {},
      element("div", {class: "row controls"}, pick("Config of", 0), pick("compared with", 1)), this.text);
    this.render();
  }

  render() {
    const [first, second] = this.sides.map((member) => DATA.members[member].options);
    const names = [...new Set([...Object.keys(first), ...Object.keys(second)])].sort();
    const lines = names.filter((name) => first[name] !== second[name]).flatMap((name) => [
      ...(name in first ? [element("del", {}, `- ${name}: ${first[name]}`)] : []),
      ...(name in second ? [element("ins", {}, `+ ${name}: ${second[name]}`)] : []),
    ]);
    this.text.replaceChildren(...(lines.length ? lines : ["These configs are equal."]));
  }
}
