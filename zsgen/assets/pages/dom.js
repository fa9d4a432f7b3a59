"use strict";
// Elements. Text from data only ever becomes text nodes and attributes.

// Returns an element; functions among the properties listen to events.
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function drawing(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function note(text) {
  return element("p", {class: "note"}, text);
}

// Returns a labelled list to choose from: [[value, text], …].
function choice(name, options, value, listener) {
  const list = element("select", {change: () => listener(list.value)});
  for (const [key, text] of options) list.append(element("option", {value: key}, text));
  list.value = value;
  return element("label", {}, name, list);
}

function checkbox(name, checked, listener) {
  const box = element("input", {type: "checkbox", checked, change: () => listener(box.checked)});
  return element("label", {}, box, ...[name].flat());
}

function button(name, listener) {
  return element("button", {type: "button", click: listener}, name);
}

function table(header, rows, properties = {}) {
  const cells = (tag, row) => element("tr", {}, ...row.map((cell) => element(tag, {}, cell)));
  return element("table", properties,
    element("thead", {}, cells("th", header)),
    element("tbody", {}, ...rows.map((row) => cells("td", row))));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Returns the colour of a label's lines; the reference is drawn in ink.
function strokeOf(label) {
  return DATA.styles[label].color || colour("--ink");
}

// Returns a piece of a label's line, with its own dashes or others.
function swatch(label, dash = DATA.styles[label].dash) {
  return drawing("svg", {class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true"},
    drawing("line", {x1: 0, x2: 26, y1: 5, y2: 5, stroke: DATA.styles[label].color || "currentColor", "stroke-width": 3,
      "stroke-dasharray": dash.join(" ")}));
}
