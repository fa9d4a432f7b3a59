"use strict";
// Selects the rows of the table below by words and by the state of a target.

class Filter {
  constructor(slot) {
    const table = slot.parentElement.querySelector("table");
    this.rows = [...table.tBodies[0].rows];
    this.state = "";
    this.query = "";
    const column = Number(slot.dataset.column);
    this.stateOf = (row) => row.cells[column].textContent;
    const states = [...new Set(this.rows.map(this.stateOf))].map((state) => [state, state]);
    const search = element("input", {type: "search", placeholder: "part of a row", input: () => {
      this.query = search.value.toLowerCase();
      this.render();
    }});
    this.count = element("span", {class: "note", role: "status"});
    this.node = element("div", {class: "row controls"},
      element("label", {}, "Search", search),
      choice("State", [["", "all"], ...states], "", (value) => {
        this.state = value;
        this.render();
      }),
      this.count);
    this.render();
  }

  render() {
    const isMatch = (row) => (!this.state || this.stateOf(row) === this.state)
      && row.textContent.toLowerCase().includes(this.query);
    for (const row of this.rows) row.hidden = !isMatch(row);
    const count = this.rows.filter((row) => !row.hidden).length;
    this.count.textContent = `${count} of ${this.rows.length} rows`;
  }
}
