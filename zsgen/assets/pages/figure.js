"use strict";
// A figure of metrics against steps, with its controls.

const SMOOTHING = [["1", "off"], ["5", "5 points"], ["15", "15 points"], ["51", "51 points"]];

class Figure {
  constructor(title, groups, tasks = null) {
    this.metrics = DATA.metrics
      .map((metric, index) => ({...metric, index}))
      .filter((metric) => groups.includes(metric.group));
    this.metric = this.metrics[0];
    this.isHeldout = groups.includes("heldout");
    this.view = "value";
    this.plot = new Plot(title);
    this.tasks = tasks;
    this.seedCount = Math.max(0, ...DATA.labels.map(
      (_, label) => DATA.members.filter((member) => member.label === label).length));
    this.band = this.defaultBand();
    this.isEach = false;
    this.width = 1;
    this.scales = {logx: false, logy: false};
    this.node = element("div", {class: "figure"}, this.controls(), this.plot.node);
    if (tasks) {
      tasks.onChange = () => this.draw();
      this.node.append(tasks.node);
    }
    listeners.push(() => this.draw());
    this.draw();
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
      ...(this.seedCount > 2 ? [["seeds", "95% over seeds"]] : []),
      ...(this.isHeldout ? [["examples", "95% over examples"]] : []),
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
    if (DATA.differences.length && this.isHeldout) {
      const views = [["value", "values"], ["difference", `differences to ${DATA.reference}`]];
      rows.push(choice("Show", views, "value", set((value) => {
        this.view = value;
        this.band = this.defaultBand();
        bands.querySelector("select").value = this.band;
      })));
    }
    if (this.bands().length > 1) rows.push(bands);
    if (this.seedCount > 1) rows.push(checkbox("each seed", false, set((value) => { this.isEach = value; })));
    rows.push(
      choice("Smoothing", SMOOTHING, "1", set((value) => { this.width = Number(value); })),
      checkbox("log step", false, set((value) => { this.scales.logx = value; })),
      checkbox("log value", false, set((value) => { this.scales.logy = value; })),
      button("Download CSV", () => this.save()),
    );
    return element("div", {class: "row controls"}, ...rows);
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
    this.plot.draw(this.drawn, {
      ...this.scales,
      logy: this.scales.logy && !isDifference,
      zero: isDifference,
      ylabel: `${label}${scope}${isDifference ? ` - ${DATA.reference}` : ""}`,
      message: isDifference && !headline
        ? "Differences are computed for the headline metric of each evaluation."
        : "No line is selected that has this metric.",
    });
  }

  save() {
    const rows = this.drawn.flatMap((line) => line.steps.map((step, i) => [
      line.name, this.metric.path, this.view, step, line.values[i],
      line.low ? line.low[i] : null, line.high ? line.high[i] : null,
    ]));
    const name = `${this.metric.path.replaceAll(/[^\w.-]+/g, "-")}.csv`;
    download(name, ["line", "metric", "show", "step", "value", "low", "high"], rows);
  }
}
