"use strict";
// Which tasks an order consumes when: a cell is a task in a stretch of steps.

// Pixels of its width.
const SMALLEST = 280, LARGEST = 900;

class Composition {
  constructor() {
    this.part = DATA.orders[0];
    const options = DATA.orders.map((part, i) => [String(i), nameOf(part.member)]);
    this.box = element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "tasks along the order"});
    const picker = choice("Order of", options, "0", (value) => {
      this.part = DATA.orders[Number(value)];
      this.render();
    });
    this.node = element("div", {}, element("h3", {}, "Tasks along the order"),
      ...(options.length > 1 ? [element("div", {class: "row controls"}, picker)] : []), this.box,
      note("A row is a task, those with most examples first; a stronger colour is a larger share of the examples of these steps."));
    this.width = LARGEST;
    new ResizeObserver(() => this.resize()).observe(this.box);
    this.render();
  }

  // Draws the figure as wide as its place, so that letters keep their size.
  resize() {
    const width = Math.max(SMALLEST, Math.min(LARGEST, this.box.clientWidth || LARGEST));
    if (width === this.width) return;
    this.width = width;
    this.render();
  }

  render() {
    const {names, begins, end, counts} = this.part;
    const [line, width] = [16, this.width];
    const left = Math.min(190, 0.36 * width);
    const letters = Math.floor(left / 6.5);
    const height = names.length * line + 22;
    const x = (step) => left + (width - left) * (step - begins[0]) / (end - begins[0] || 1);
    const sums = begins.map((_, bin) => counts.reduce((sum, row) => sum + row[bin], 0));
    const cells = counts.flatMap((row, task) => row.flatMap((count, bin) => {
      if (!count) return [];
      const until = begins[bin + 1] ?? end;
      const share = count / sums[bin];
      return [drawing("rect", {
        x: x(begins[bin]), y: task * line, width: Math.max(x(until) - x(begins[bin]), 1), height: line - 1,
        "fill-opacity": 0.12 + 0.88 * share,
      }, drawing("title", {}, `${names[task]}, steps ${begins[bin]} to ${until - 1}: ${count} of ${sums[bin]} examples`))];
    }));
    const words = names.map((name, task) => drawing("text", {x: left - 6, y: task * line + 12, "text-anchor": "end"},
      name.length > letters ? `${name.slice(0, letters - 1)}…` : name, drawing("title", {}, name)));
    const ends = [[begins[0], "start"], [end, "end"]].map(([step, anchor]) => drawing("text", {
      x: x(step), y: height - 6, "text-anchor": anchor,
    }, `step ${step}`));
    const first = names.map((name, task) => `${name}: ${counts[task].reduce((sum, count) => sum + count, 0)}`);
    this.box.replaceChildren(drawing("svg", {
      class: "composition", viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `Examples of each task: ${first.join(", ")}`,
    }, ...cells, ...words, ...ends));
  }
}
