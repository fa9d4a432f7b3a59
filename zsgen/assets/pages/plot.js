"use strict";
// One pair of axes: lines with bands, values under the pointer or the arrow keys.

// Pixels of a letter of an axis, and of all but the y axis of a plot's height. Longer
// names of the y axis are above the plot.
const LETTER = 7, MARGINS = 60;
// Distances between whole numbers at an axis.
const WHOLE = [...Array(12).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
// Values are also shown at steps this near, as a share of all steps.
const NEAR = 0.05;

class Plot {
  constructor(title) {
    this.title = title;
    this.position = null;
    this.box = element("div", {
      class: "plot", tabindex: "0", role: "slider",
      keydown: (event) => this.onKey(event),
    });
    this.caption = element("p", {class: "note caption"});
    this.heading = element("p", {class: "note"});
    this.readout = element("table", {class: "readout"});
    this.node = element("div", {}, this.caption, this.box, this.heading,
      element("div", {class: "scroll"}, this.readout));
    new ResizeObserver(() => this.resize()).observe(this.box);
  }

  // Draws lines [{name, label, dash, steps, values, low, high, hasGaps}].
  //
  // Options: x (what the steps are), ylabel, range and span ([lowest, highest]
  // value and step, if another plot has the same), zero (draw y = 0), logx, logy,
  // marks [{step, name}], message.
  draw(lines, options) {
    this.lines = lines;
    this.options = options;
    this.chart?.destroy();
    this.chart = null;
    this.steps = [...new Set(lines.flatMap((line) => line.steps))].sort((a, b) => a - b);
    if (options.logx) this.steps = this.steps.filter((step) => step > 0);
    this.position = null;
    if (this.steps.length) this.build();
    this.show(this.steps.length - 1);
  }

  build() {
    const rows = new Map(this.steps.map((step, row) => [step, row]));
    const data = [this.steps], series = [{}], bands = [];
    this.columns = this.lines.map((line) => {
      const spread = (values) => {
        // Missing values are gaps; undefined ones are at steps of other lines.
        const column = new Array(this.steps.length).fill(undefined);
        line.steps.forEach((step, i) => {
          const allowed = !this.options.logy || values[i] > 0;
          if (rows.has(step) && allowed) column[rows.get(step)] = values[i];
          else if (rows.has(step)) column[rows.get(step)] = null;
        });
        return column;
      };
      const stroke = line.label === null ? colour("--ink") : strokeOf(line.label);
      if (line.low) {
        const edge = {width: 0, spanGaps: true, points: {show: false}};
        series.push({...edge}, {...edge});
        data.push(spread(line.high), spread(line.low));
        bands.push({series: [data.length - 2, data.length - 1], fill: stroke + "2e"});
      }
      series.push({
        stroke, width: 2, dash: line.dash, spanGaps: !line.hasGaps,
        points: {show: line.steps.length < 40, size: 5, fill: stroke},
      });
      data.push(spread(line.values));
      return data[data.length - 1];
    });
    const {ylabel} = this.options;
    this.hasCaption = this.needsCaption();
    this.caption.textContent = this.hasCaption ? ylabel : "";
    this.chart = new uPlot({
      width: this.box.clientWidth || 320,
      height: this.height(),
      padding: [null, 26, null, null],
      legend: {show: false},
      cursor: {points: {size: 8}, y: false},
      scales: {
        x: {time: false, distr: this.options.logx ? 3 : 1, ...this.span()},
        y: {distr: this.options.logy ? 3 : 1, ...(this.options.range ? {range: this.options.range} : {})},
      },
      axes: [this.xAxis(), {...this.axis(this.hasCaption ? null : ylabel), size: 64}],
      series, bands,
      hooks: {
        draw: [(chart) => this.drawMarks(chart)],
        setCursor: [(chart) => this.show(chart.cursor.idx ?? this.position ?? this.steps.length - 1)],
      },
    }, data, this.box);
  }

  // Returns the range of the x axis, unless it is zoomed in.
  span() {
    const [first, last] = [this.steps[0], this.steps.at(-1)];
    if (!this.options.span) return {};
    return {range: (_, low, high) => low === first && high === last ? this.options.span : [low, high]};
  }

  height() {
    return this.box.clientWidth < 480 ? 250 : 320;
  }

  // Returns whether the name of the y axis is longer than the axis.
  needsCaption() {
    return this.options.ylabel.length * LETTER > this.height() - MARGINS;
  }

  axis(label) {
    return {
      label, stroke: colour("--ink"), labelSize: 22,
      grid: {stroke: colour("--grid"), width: 1},
      ticks: {stroke: colour("--rule"), width: 1},
    };
  }

  // Returns the x axis, with whole numbers if steps are; powers of ten are short, so
  // that they do not overlap.
  xAxis() {
    const format = new Intl.NumberFormat("en", {notation: "compact"});
    const values = (_, splits) => splits.map((value) => value === null ? "" : format.format(value));
    return {
      ...this.axis(this.options.x), size: 36,
      ...(this.options.logx ? {values} : {}),
      ...(this.steps.every(Number.isInteger) ? {incrs: WHOLE} : {}),
    };
  }

  // Draws the line y = 0, and lines at steps.
  drawMarks(chart) {
    const {ctx, bbox} = chart;
    ctx.save();
    ctx.strokeStyle = colour("--ink");
    ctx.lineWidth = 1;
    ctx.beginPath();
    if (this.options.zero) {
      const y = chart.valToPos(0, "y", true);
      if (y >= bbox.top && y <= bbox.top + bbox.height) {
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
      }
    }
    ctx.stroke();
    ctx.beginPath();
    ctx.strokeStyle = colour("--quiet");
    ctx.setLineDash([4, 4]);
    for (const {step} of this.options.marks || []) {
      const x = chart.valToPos(step, "x", true);
      if (x >= bbox.left && x <= bbox.left + bbox.width) {
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
      }
    }
    ctx.stroke();
    ctx.restore();
  }

  // Shows the values at a position among the steps.
  show(position) {
    const step = this.steps[position];
    const heading = step === undefined
      ? this.options.message || "Nothing is selected." : `${this.options.x} ${number(step)}`;
    this.heading.textContent = heading;
    const rows = step === undefined ? [] : this.sorted(step).map((line) => this.row(line, step));
    this.readout.replaceChildren(...rows.map(({cells}) => element("tr", {}, ...cells)));
    const words = rows.map(({text}) => text).join("; ");
    const attributes = {
      label: `${this.title}: ${this.options.ylabel} against ${this.options.x}. Arrow keys move along it.`,
      valuemin: this.steps[0] ?? 0, valuemax: this.steps.at(-1) ?? 0, valuenow: step ?? 0,
      valuetext: words ? `${heading}: ${words}` : heading,
    };
    for (const [name, value] of Object.entries(attributes)) this.box.setAttribute(`aria-${name}`, value);
  }

  // Returns many lines as they are above each other at a step; few as given.
  sorted(step) {
    if (this.lines.length <= MANY_NAMES) return this.lines;
    const value = (line) => line.values[this.rowOf(line, step)] ?? -Infinity;
    return [...this.lines].sort((a, b) => (value(a) < value(b)) - (value(a) > value(b)));
  }

  // Returns the row of a line at a step, or at its nearest step; -1 for none near.
  rowOf(line, step) {
    const same = line.steps.indexOf(step);
    if (same >= 0) return same;
    const distances = line.steps.map((other) => Math.abs(other - step));
    const least = distances.reduce((a, b) => Math.min(a, b), Infinity);
    return least > NEAR * (this.steps.at(-1) - this.steps[0]) ? -1 : distances.indexOf(least);
  }

  row(line, step) {
    const i = this.rowOf(line, step);
    const value = number(i < 0 ? null : line.values[i]);
    const edges = i >= 0 && line.low && line.low[i] !== null
      ? `[${number(line.low[i])}, ${number(line.high[i])}]` : "";
    const other = i >= 0 && line.steps[i] !== step ? `at ${number(line.steps[i])}` : "";
    const band = [edges, other].filter(Boolean).join(" ");
    const name = element("td", {title: line.name}, ...(line.label === null ? [] : [swatch(line.label, line.dash)]), line.name);
    return {
      cells: [name, element("td", {class: "value"}, value), element("td", {}, band)],
      text: `${line.name} ${value} ${band}`.trim(),
    };
  }

  onKey(event) {
    const last = this.steps.length - 1;
    const from = this.position ?? last;
    const targets = {ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last};
    if (!(event.key in targets) || !this.chart) return;
    event.preventDefault();
    this.position = Math.max(0, Math.min(last, targets[event.key]));
    const left = this.chart.valToPos(this.steps[this.position], "x");
    this.chart.setCursor({left, top: 10}, false);
    this.show(this.position);
  }

  resize() {
    const width = this.box.clientWidth;
    if (!this.chart || !width || width === this.chart.width) return;
    if (this.hasCaption !== this.needsCaption()) {
      this.draw(this.lines, this.options);
      return;
    }
    this.chart.setSize({width, height: this.height()});
  }
}
