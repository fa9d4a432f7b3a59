"use strict";
// Held-out examples: texts, values and answers at steps, nearest training examples.

class Examples {
  constructor() {
    this.part = DATA.examples[0];
    this.query = "";
    this.plot = new Plot("One held-out example");
    this.member = null;
    const parts = DATA.examples.map((part, i) => [String(i), part.title]);
    const search = element("input", {type: "search", size: "26", placeholder: "task, prompt, answer or id", input: () => {
      this.query = search.value.toLowerCase();
      this.fill();
    }});
    this.list = element("select", {
      class: "examples", size: "8", "aria-label": "held-out examples", change: () => this.render(),
    });
    this.count = element("p", {class: "note", role: "status"});
    this.detail = element("div");
    this.node = element("div", {},
      element("div", {class: "row controls"},
        choice("Evaluation", parts, "0", (value) => {
          this.part = DATA.examples[Number(value)];
          this.member = null;
          this.fill();
        }),
        element("label", {}, "Search examples", search)),
      this.count, this.list, this.detail);
    listeners.push(() => this.render());
    this.fill();
  }

  // Lists the examples that match.
  fill() {
    const {ids, tasks, prompts, answers, total} = this.part;
    const matches = [...ids.keys()].filter((i) =>
      [String(ids[i]), tasks[i], prompts[i], answers[i]].some((text) => text.toLowerCase().includes(this.query)));
    this.list.replaceChildren(...matches.map((i) => element("option", {value: String(i)},
      `${ids[i]} · ${tasks[i].slice(0, 40)} · ${prompts[i].replaceAll(/\s+/g, " ").slice(0, 90)}`)));
    this.list.selectedIndex = 0;
    this.count.textContent = `${matches.length} of ${ids.length} examples on this page; the evaluation has ${total}.`;
    this.render();
  }

  render() {
    const i = this.list.value === "" ? null : Number(this.list.value);
    if (i === null) {
      this.detail.replaceChildren(note("No example matches."));
      return;
    }
    const members = this.part.members.filter((item) => isShown(item.member));
    if (!members.some((item) => item.member === this.member)) this.member = members[0]?.member ?? null;
    this.detail.replaceChildren(
      element("h3", {}, `Example ${this.part.ids[i]} of ${this.part.tasks[i]}`),
      element("p", {class: "note"}, "Prompt"), element("pre", {tabindex: "0"}, this.part.prompts[i]),
      element("p", {class: "note"}, "Answer"), element("pre", {tabindex: "0"}, this.part.answers[i]),
      this.plot.node, ...this.ofMember(i, members));
    this.draw(i, members);
  }

  draw(i, members) {
    const lines = members.filter((item) => item.values[i]).map((item) => {
      const {label} = DATA.members[item.member];
      return {
        name: nameOf(item.member), label, dash: DATA.styles[label].dash,
        steps: DATA.steps[item.steps], values: item.values[i], low: null, high: null,
      };
    });
    const rows = this.neighbours()?.rows[i] || [];
    const marks = rows.map(([, , step]) => ({step}));
    this.plot.draw(lines, {x: "step", ylabel: this.part.value, marks, message: "No run that is shown has this example."});
  }

  neighbours() {
    return this.part.neighbours.find((item) => item.member === this.member);
  }

  // Returns what depends on the run: written answers and nearest training examples.
  ofMember(i, members) {
    const withParts = members.filter((item) => Object.keys(item.predictions).length
      || this.part.neighbours.some((part) => part.member === item.member));
    if (!withParts.length) return [];
    if (!withParts.some((item) => item.member === this.member)) this.member = withParts[0].member;
    const options = withParts.map((item) => [String(item.member), nameOf(item.member)]);
    const picker = choice("Run", options, String(this.member), (value) => {
      this.member = Number(value);
      this.render();
    });
    return [
      ...(options.length > 1 ? [element("div", {class: "row controls"}, picker)] : []),
      ...this.predictions(i, withParts), ...this.nearest(i),
    ];
  }

  predictions(i, members) {
    const {predictions} = members.find((item) => item.member === this.member);
    const rows = Object.entries(predictions)
      .filter(([, texts]) => texts[i] !== null)
      .map(([step, texts]) => [step, element("pre", {}, texts[i])]);
    if (!rows.length) return [];
    const title = `Answers of ${nameOf(this.member)}`;
    const body = rows.map(([step, text]) => element("tr", {}, element("td", {}, step), element("td", {class: "w"}, text)));
    return [element("h3", {}, title), element("div", {class: "scroll"},
      element("table", {}, element("tr", {}, element("th", {}, "step"), element("th", {class: "w"}, "answer")), ...body))];
  }

  nearest(i) {
    const part = this.neighbours();
    if (!part) return [];
    const entries = part.rows[i].map(([id, cosine, step]) => {
      const example = this.part.trained[id];
      return element("details", {},
        element("summary", {}, `cosine ${number(cosine)} · step ${step} · ${example.task} · id ${id}`),
        element("pre", {}, example.prompt), element("pre", {}, example.answer));
    });
    return [
      element("h3", {}, "Nearest training examples"),
      note(`Of all examples that ${nameOf(this.member)} trained on, by ${part.vectors}; vertical lines in`
        + " the figure are the steps that consumed them first."),
      ...entries,
    ];
  }
}
