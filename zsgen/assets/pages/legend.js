"use strict";
// Checkboxes for names, which all figures follow; many names can be searched.

// More names than this are a list that scrolls, with a search and a sequence.
const MANY_NAMES = 8;

class Legend {
  // Args:
  //   title: what the names are.
  //   items: [{key, name, mark, last}]: `mark` is before the name or null, and
  //     `last` a final value to sort by or null.
  //   selected: the set of the keys that are drawn.
  constructor(title, items, selected) {
    this.items = items;
    this.selected = selected;
    this.query = "";
    this.sort = "given";
    this.boxes = new Map(items.map((item) => [item.key, this.box(item)]));
    this.list = element("div", {class: "legend"});
    this.count = element("span", {class: "note", role: "status"});
    const isLong = items.length > MANY_NAMES;
    const buttons = [
      button("all", () => this.set(this.matches(), true)),
      button("none", () => this.set(this.matches(), false)),
    ];
    this.node = element("fieldset", {class: isLong ? "row long" : "row"},
      element("legend", {}, title),
      ...(isLong ? [...this.controls(), ...buttons, this.count, this.list] : [this.list, ...buttons]));
    if (isLong) {
      for (const [name, value] of Object.entries({tabindex: "0", role: "group", "aria-label": title})) {
        this.list.setAttribute(name, value);
      }
    }
    this.render();
  }

  box({key, name, mark}) {
    const parts = mark ? [mark, element("span", {}, name)] : [name];
    const box = checkbox(parts, true, (checked) => this.set([{key}], checked));
    box.title = name;
    return box;
  }

  controls() {
    const search = element("input", {type: "search", placeholder: "part of a name", input: () => {
      this.query = search.value.toLowerCase();
      this.render();
    }});
    const sorts = [["given", "as given"], ["name", "name"], ["last", "final value"]];
    return [
      element("label", {}, "Search", search),
      choice("Sort by", sorts, this.sort, (value) => {
        this.sort = value;
        this.render();
      }),
    ];
  }

  matches() {
    return this.items.filter(({name}) => name.toLowerCase().includes(this.query));
  }

  // Draws lines of the items, or draws them no longer.
  set(items, isShown) {
    for (const {key} of items) {
      if (isShown) this.selected.add(key);
      else this.selected.delete(key);
      this.boxes.get(key).querySelector("input").checked = isShown;
    }
    this.countItems();
    changed();
  }

  sorted(items) {
    const last = ({last: value}) => value ?? Infinity;
    if (this.sort === "name") return items.sort((a, b) => a.name.localeCompare(b.name, "en"));
    if (this.sort === "last") return items.sort((a, b) => (last(a) > last(b)) - (last(a) < last(b)));
    return items;
  }

  countItems() {
    const matches = this.matches();
    const drawn = this.items.filter(({key}) => this.selected.has(key)).length;
    this.count.textContent = `${matches.length} of ${this.items.length} match; ${drawn} are drawn`;
  }

  render() {
    this.list.replaceChildren(...this.sorted(this.matches()).map(({key}) => this.boxes.get(key)));
    this.countItems();
  }
}

// Returns the final value of the first metric of a label, the mean over seeds.
function finalValue(label) {
  const values = DATA.curves
    .filter((curve) => curve.metric === 0 && DATA.members[curve.member].label === label)
    .map((curve) => curve.values.at(-1));
  return mean(values);
}

// Returns what selects labels and seeds.
function selection() {
  const legends = [];
  const seeds = [...shown.seeds].sort((a, b) => a - b);
  if (DATA.labels.length > 1) {
    const items = DATA.labels.map((name, label) => ({
      key: label, name, mark: swatch(label), last: finalValue(label),
    }));
    legends.push(new Legend("Show", items, shown.labels));
  }
  if (seeds.length > 1) {
    const items = seeds.map((seed) => ({key: seed, name: `seed ${seed}`, mark: null, last: seed}));
    legends.push(new Legend("Seeds", items, shown.seeds));
  }
  return legends.length ? [element("div", {class: "bar controls"}, ...legends.map(({node}) => node))] : [];
}
