"use strict";
// The tasks of an evaluation: search them, and draw the mean of those selected.

const MOST_TASKS = 100;

class Tasks {
  constructor() {
    this.chosen = new Map();  // Positions of tasks, by evaluation.
    this.query = "";
    this.sort = "gain";
    this.onChange = () => {};
    this.list = element("div", {class: "tasks", tabindex: "0", role: "region", "aria-label": "tasks"});
    this.count = element("p", {class: "note", role: "status"});
    const search = element("input", {type: "search", placeholder: "part of a name", input: () => {
      this.query = search.value;
      this.render();
    }});
    const sorts = [["gain", "largest gain"], ["name", "name"], ["last", "final value"]];
    this.controls = element("div", {class: "row controls"},
      element("label", {}, "Search tasks", search),
      choice("Sort by", sorts, this.sort, (value) => {
        this.sort = value;
        this.render();
      }),
      button("Draw all that match", () => this.choose(this.matches())),
      button("Clear", () => this.choose([])));
    this.node = element("details", {open: true}, element("summary", {}, "Tasks"),
      this.controls, this.count, this.list);
  }

  get part() {
    return DATA.tasks[this.evaluation];
  }

  use(evaluation, hasTasks) {
    this.node.hidden = !DATA.tasks[evaluation] || !hasTasks;
    if (this.node.hidden) return;
    this.evaluation = evaluation;
    this.render();
  }

  selected(evaluation) {
    return [...(this.chosen.get(evaluation) || [])];
  }

  choose(positions) {
    this.chosen.set(this.evaluation, new Set(positions));
    this.onChange();
  }

  matches() {
    const query = this.query.toLowerCase();
    return [...this.part.names.keys()].filter((i) => this.part.names[i].toLowerCase().includes(query));
  }

  // Returns the mean curve of tasks of a member; null if it lacks one of them.
  curve(evaluation, member, tasks) {
    const entry = DATA.tasks[evaluation]?.curves.find((item) => item.member === member);
    if (!entry) return null;
    const rows = tasks.map((task) => entry.values[task]);
    if (rows.some((row) => !row)) return null;
    const values = DATA.steps[entry.steps].map((_, i) => mean(rows.map((row) => row[i])));
    return {steps: entry.steps, values, half: null};
  }

  // Returns the difference to the reference's run of the same seed, if both
  // evaluated the same examples.
  difference(evaluation, member, tasks) {
    const pair = DATA.differences.find(
      (item) => item.member === member && item.evaluation === evaluation && item.same);
    if (!pair) return null;
    const [own, other] = [member, pair.reference].map((m) => this.curve(evaluation, m, tasks));
    if (!own || !other) return null;
    const [steps, others] = [own, other].map((curve) => DATA.steps[curve.steps]);
    const rows = new Map(others.map((step, row) => [step, row]));
    const values = DATA.steps[pair.steps].map((step) => {
      const row = steps.indexOf(step);
      return row < 0 || !rows.has(step) ? null : own.values[row] - other.values[rows.get(step)];
    });
    return {steps: pair.steps, values, half: null};
  }

  // Returns the first run that is shown, whose values the table has.
  first() {
    return this.part.curves.find((item) => isShown(item.member));
  }

  render() {
    const entry = this.first();
    const chosen = this.chosen.get(this.evaluation) || new Set();
    const matches = this.matches();
    const ranked = entry ? this.ranked(matches, entry) : matches;
    const rows = ranked.slice(0, MOST_TASKS).map((task) => this.row(task, entry, chosen));
    const more = matches.length > MOST_TASKS ? `, the first ${MOST_TASKS} are listed` : "";
    const whose = entry ? ` Values are of ${nameOf(entry.member)}.` : "";
    this.count.textContent =
      `${matches.length} of ${this.part.total} tasks${more}; ${chosen.size || "none"} selected:`
      + ` the figure shows ${chosen.size ? "their mean" : "all examples"}.${whose}`;
    const header = ["", "task", "examples", "curve", "first", "final"];
    const focused = document.activeElement?.getAttribute("data-task");
    this.list.replaceChildren(table(header, rows));
    if (focused) this.list.querySelector(`[data-task="${focused}"]`)?.focus();
  }

  ranked(tasks, entry) {
    const ends = (task) => {
      const row = entry.values[task];
      return row ? [row[0], row.at(-1)] : [0, 0];
    };
    const sign = this.part.better === "lower" ? 1 : -1;
    const keys = {
      name: () => 0,
      last: (task) => ends(task)[1],
      gain: (task) => -sign * (ends(task)[0] - ends(task)[1]),
    };
    const key = keys[this.sort];
    return tasks.sort((a, b) => key(a) - key(b) || (this.part.names[a] < this.part.names[b] ? -1 : 1));
  }

  row(task, entry, chosen) {
    const name = this.part.names[task];
    const box = element("input", {
      type: "checkbox", checked: chosen.has(task), "aria-label": `draw ${name}`, "data-task": String(task),
      change: () => {
        if (box.checked) chosen.add(task);
        else chosen.delete(task);
        this.choose(chosen);
      },
    });
    const row = entry?.values[task];
    return [box, name, number(this.part.counts[task]), this.spark(task),
      number(row?.[0]), number(row?.at(-1))];
  }

  // Returns the curves of a task in a cell, from 0 or their lowest to the highest value.
  spark(task) {
    const lines = this.part.curves.filter((item) => isShown(item.member) && item.values[task]);
    const values = lines.flatMap((item) => item.values[task]).filter((value) => value !== null);
    const [low, high] = [Math.min(0, ...values), Math.max(...values)];
    const last = Math.max(...lines.map((item) => DATA.steps[item.steps].at(-1)));
    const shapes = lines.slice(0, 6).map((item) => drawing("polyline", {
      fill: "none", "stroke-width": 1.5, stroke: strokeOf(DATA.members[item.member].label),
      points: item.values[task].flatMap((value, i) => value === null ? [] : [
        `${88 * DATA.steps[item.steps][i] / (last || 1)},${20 - 18 * (value - low) / (high - low || 1)}`,
      ]).join(" "),
    }));
    return drawing("svg", {class: "spark", viewBox: "0 0 90 22", "aria-hidden": "true"}, ...shapes);
  }
}
