"use strict";
// The embedded data, what is shown of it, and its statistics.

const DATA = JSON.parse(document.getElementById("data").textContent);

// Labels (by number) and seeds whose lines are drawn.
const shown = {
  labels: new Set(DATA.labels.keys()),
  seeds: new Set(DATA.members.map((member) => member.seed)),
};

// Functions that draw everything that depends on `shown` again.
const listeners = [];

function changed() {
  for (const listener of listeners) listener();
}

function isShown(member) {
  const {label, seed} = DATA.members[member];
  return shown.labels.has(label) && shown.seeds.has(seed);
}

const hasSeveralSeeds = shown.seeds.size > 1;

// Returns the name of a member: its label, and its seed if there are several.
function nameOf(member) {
  const {label, seed} = DATA.members[member];
  return hasSeveralSeeds ? `${DATA.labels[label]}, seed ${seed}` : DATA.labels[label];
}

// Numbers with five digits; those of the data have six.
function number(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  if (Math.abs(value) >= 1e5) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(5)));
}

// Returns curves [{steps, values, half}] at the steps that all of them have.
function shareSteps(curves) {
  if (!curves.length) return [];
  let steps = curves[0].steps;
  for (const curve of curves.slice(1)) {
    const others = new Set(curve.steps);
    steps = steps.filter((step) => others.has(step));
  }
  return curves.map((curve) => {
    const rows = new Map(curve.steps.map((step, row) => [step, row]));
    const pick = (values) => values && steps.map((step) => values[rows.get(step)]);
    return {steps, values: pick(curve.values), half: pick(curve.half)};
  });
}

function mean(values) {
  if (!values.length || values.some((value) => value === null)) return null;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// Returns half of the 95% interval of a mean over seeds (Student's t).
function halfInterval(values) {
  const center = mean(values);
  if (values.length < 3 || center === null) return null;
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  const deviation = Math.sqrt(squares / (values.length - 1));
  return DATA.quantiles[values.length] * deviation / Math.sqrt(values.length);
}

// Returns the mean over curves with the edges of a band.
function summarize(curves, band) {
  const shared = shareSteps(curves);
  if (!shared.length || !shared[0].steps.length) return null;
  const {steps} = shared[0];
  const columns = steps.map((_, row) => shared.map((curve) => curve.values[row]));
  const values = columns.map(mean);
  const edges = columns.map((column, row) => edgesOf(column, values[row], band, shared, row));
  const hasBand = edges.some((edge) => edge !== null);
  return {
    steps, values,
    low: hasBand ? edges.map((edge) => edge && edge[0]) : null,
    high: hasBand ? edges.map((edge) => edge && edge[1]) : null,
  };
}

function edgesOf(column, center, band, curves, row) {
  if (center === null) return null;
  if (band === "range" && column.length > 1) return [Math.min(...column), Math.max(...column)];
  let half = null;
  if (band === "seeds") half = halfInterval(column);
  if (band === "examples" && curves.length === 1 && curves[0].half) half = curves[0].half[row];
  return half === null ? null : [center - half, center + half];
}

// Returns means over `width` points around each; null for missing values.
function smooth(values, width) {
  if (!values || width < 2) return values;
  const reach = Math.floor(width / 2);
  return values.map((value, row) => {
    if (value === null) return null;
    const near = values.slice(Math.max(0, row - reach), row + reach + 1);
    return mean(near.filter((other) => other !== null));
  });
}

// Offers rows as a CSV file.
function download(name, header, rows) {
  const quote = (cell) => {
    const text = cell === null || cell === undefined ? "" : String(cell);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [header, ...rows].map((row) => row.map(quote).join(","));
  const blob = new Blob([lines.join("\n") + "\n"], {type: "text/csv"});
  const address = URL.createObjectURL(blob);
  element("a", {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
