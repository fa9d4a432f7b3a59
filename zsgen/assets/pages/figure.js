"use strict";
// A figure of metrics against steps, with its controls.

// Longer names of a reference are left out of axes and controls.
const LONGEST_REFERENCE = 30;
const SMOOTHING = [["1", "off"], ["5", "5 points"], ["15", "15 points"], ["51", "51 points"]];

class Figure {
  constructor(title, groups, tasks = null) {
    this.metrics = DATA.metrics
      .map((metric, index) => ({...metric, index}))
      .filter((metric) => groups.includes(metric.group));
    this.metric = this.metrics[0];
    this.x = this.metric?.x || "step";
    this.isHeldout = this.metrics.some(({headline}) => headline);
    this.isPublished = this.metrics.some(({published}) => published?.length);
    this.place = "beside";
    this.view = "value";
    const reference = this.metric?.reference || DATA.reference;
    this.reference = reference.length > LONGEST_REFERENCE ? "the reference" : reference;
    this.title = title;
    this.plot = new Plot(title);
    this.plots = element("div", {class: "plots"}, this.plot.node);
    this.tasks = tasks;
    this.seedCount = this.countSeeds();
    this.band = this.defaultBand();
    this.isEach = false;
    this.width = 1;
    this.scales = {logx: Boolean(this.metric?.log), logy: false};
    this.node = element("div", {class: "figure"}, this.controls(), this.plots);
    if (tasks) {
      tasks.onChange = () => this.draw();
      this.node.append(tasks.node);
    }
    listeners.push(() => this.draw());
    this.draw();
  }

  // Returns the number of seeds of the label that has most of them in this figure.
  countSeeds() {
    const indexes = new Set(this.metrics.map(({index}) => index));
    const members = new Set(DATA.curves.filter(({metric}) => indexes.has(metric)).map(({member}) => member));
    const counts = DATA.labels.map(
      (_, label) => [...members].filter((member) => DATA.members[member].label === label).length);
    return Math.max(0, ...counts);
  }

  defaultBand() {
    if (this.seedCount > 2 && this.view === "difference") return "seeds";
    if (this.seedCount > 1) return "range";
    return this.isHeldout && DATA.labels.length === 1 ? "examples" : "none";
  }

  // Returns the bands that these runs can have.
  bands() {
    return [
      ...(this.seedCount > 1 ? [["range", "range over seeds"]] : []),
      ...(this.seedCount > 2 ? [["seeds", "95% over seeds (Student's t)"]] : []),
      ...(this.isHeldout ? [["examples", "95% over examples (Student's t)"]] : []),
      ["none", "none"],
    ];
  }

  controls() {
    const set = (change) => (value) => {
      change(value);
      this.draw();
    };
    const options = this.metrics.map((metric, i) => [String(i), metric.label]);
    const bands = choice("Band", this.bands(), this.band, set((value) => { this.band = value; }));
    const rows = [
      choice("Metric", options, "0", set((value) => { this.metric = this.metrics[Number(value)]; })),
    ];
    if (this.hasDifferences()) {
      const views = [["value", "values"], ["difference", `differences to ${this.reference}`]];
      rows.push(choice("Show", views, "value", set((value) => {
        this.view = value;
        this.band = this.defaultBand();
        bands.querySelector("select").value = this.band;
      })));
    }
    if (this.bands().length > 1) rows.push(bands);
    if (this.seedCount > 1) rows.push(checkbox("each seed", false, set((value) => { this.isEach = value; })));
    if (this.isPublished) {
      const places = [["beside", "beside"], ["over", "in the same axes"], ["none", "not shown"]];
      rows.push(choice("Published curves", places, this.place, set((value) => { this.place = value; })));
    }
    rows.push(
      choice("Smoothing", SMOOTHING, "1", set((value) => { this.width = Number(value); })),
      checkbox(`log ${this.x}`, this.scales.logx, set((value) => { this.scales.logx = value; })),
      checkbox("log value", false, set((value) => { this.scales.logy = value; })),
      button("Download CSV", () => this.save()),
    );
    return element("div", {class: "row controls"}, ...rows);
  }

  hasDifferences() {
    const names = new Set(this.metrics.map(({evaluation}) => evaluation));
    return this.isHeldout && DATA.differences.some(({evaluation}) => names.has(evaluation));
  }

  // Returns the curve of a member, or null.
  curve(member) {
    const {index, evaluation, headline} = this.metric;
    const tasks = this.tasks?.selected(evaluation) || [];
    if (this.view === "difference") {
      if (!headline) return null;
      if (tasks.length) return this.tasks.difference(evaluation, member, tasks);
      return DATA.differences.find((item) => item.member === member && item.evaluation === evaluation) || null;
    }
    if (tasks.length && headline) return this.tasks.curve(evaluation, member, tasks);
    return DATA.curves.find((item) => item.member === member && item.metric === index) || null;
  }

  lines() {
    const parts = [];
    for (const label of shown.labels) {
      const members = [...DATA.members.keys()].filter(
        (member) => DATA.members[member].label === label && isShown(member));
      const groups = this.isEach ? members.map((member) => [member]) : [members];
      for (const group of groups) {
        const curves = group.map((member) => this.curve(member)).filter((curve) => curve)
          .map((curve) => ({...curve, steps: DATA.steps[curve.steps]}));
        const line = curves.length ? summarize(curves, this.band) : null;
        if (line) parts.push({...line, label, name: this.nameOf(label, group, curves.length)});
      }
    }
    return parts.sort((a, b) => a.label - b.label).map((line) => ({
      ...line, dash: DATA.styles[line.label].dash,
      values: smooth(line.values, this.width),
      low: smooth(line.low, this.width), high: smooth(line.high, this.width),
    }));
  }

  nameOf(label, members, count) {
    const name = DATA.labels[label];
    if (this.isEach) return `${name}, seed ${DATA.members[members[0]].seed}`;
    return count > 1 ? `${name}, mean of ${count} seeds` : name;
  }

  draw() {
    if (!this.metric) return;
    const {label, evaluation, headline} = this.metric;
    const isDifference = this.view === "difference";
    const tasks = headline ? this.tasks?.selected(evaluation) || [] : [];
    const scope = tasks.length ? `, mean over ${tasks.length} tasks` : "";
    this.tasks?.use(evaluation, headline);
    this.drawn = this.lines();
    const options = {
      ...this.scales,
      x: this.x,
      logy: this.scales.logy && !isDifference,
      zero: isDifference,
      ylabel: `${label}${scope}${isDifference ? ` - ${this.reference}` : ""}`,
      message: isDifference && !headline
        ? "Differences are computed for the headline metric of each evaluation."
        : "No line is selected that has this metric.",
    };
    this.drawPublished(options);
  }

  // Draws the own lines, and what a paper has beside them or in the same axes.
  drawPublished(options) {
    const parts = this.place === "none" ? [] : (this.metric.published || [])
      .map((part) => ({title: part.title, lines: this.publishedLines(part)}));
    this.published = parts.flatMap(({lines}) => lines);
    if (this.place === "over" || !parts.length) {
      this.plots.replaceChildren(this.plot.node);
      this.plot.draw([...this.drawn, ...this.published], options);
      return;
    }
    const all = [...this.drawn, ...this.published];
    const range = options.logy ? null : rangeOf(all);
    const span = options.logx ? null : spanOf(all);
    const others = parts.map(({title}) => new Plot(title));
    this.plots.replaceChildren(
      titled(this.title, this.plot), ...parts.map(({title}, i) => titled(title, others[i])));
    this.plot.draw(this.drawn, {...options, range, span});
    parts.forEach(({lines}, i) => others[i].draw(lines, {...options, range, span}));
  }

  publishedLines({title, lines}) {
    return lines.filter(({label}) => shown.labels.has(label)).map(({label, steps, values}) => ({
      label, values, steps: DATA.steps[steps], dash: [3, 3], low: null, high: null, hasGaps: true,
      name: this.place === "over" ? `${DATA.labels[label]}, ${title}` : DATA.labels[label],
    }));
  }

  save() {
    const rows = [...this.drawn, ...this.published].flatMap((line) => line.steps.map((step, i) => [
      line.name, this.metric.path, line.hasGaps ? "published" : this.view, step, line.values[i],
      line.low ? line.low[i] : null, line.high ? line.high[i] : null,
    ]));
    const name = `${this.metric.path.replaceAll(/[^\w.-]+/g, "-")}.csv`;
    download(name, ["line", "metric", "show", this.x, "value", "low", "high"], rows);
  }
}

// Returns a plot below its title.
function titled(title, plot) {
  return element("div", {}, element("h4", {}, title), plot.node);
}

// Returns the range of the steps of lines; null for none.
function spanOf(lines) {
  const ends = lines.filter(({steps}) => steps.length).flatMap(({steps}) => [steps[0], steps.at(-1)]);
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : null;
}

// Returns the range of all values of lines, with a margin; null for none.
function rangeOf(lines) {
  const values = lines.flatMap((line) => [line.values, line.low || [], line.high || []].flat())
    .filter((value) => value !== null);
  if (!values.length) return null;
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const margin = 0.05 * (high - low || 1);
  return [low - margin, high + margin];
}
