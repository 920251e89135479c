// SPDX-License-Identifier: BSD-2-Clause
// A table that is sorted by the buttons in its head, and whose rows keep their elements, and
// therefore the focus, when they are updated.

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Puts nodes into an element, in this order.  The node with the focus is not moved, because it
// would lose it; the others are moved around it.
function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const fixed = nodes.find((node) => node.contains(document.activeElement));
  let at = parent.firstChild;
  for (const node of nodes) {
    while (node === fixed && at !== fixed) {
      const next = at.nextSibling;
      parent.append(at);
      at = next;
    }
    if (at === node) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

export class Table {
  // `sortBy` is called with the name of a column, and with an order if the list is already
  // sorted by the column.  `visit` is called with the key of a row whose link is followed.
  constructor(table, sortBy, visit) {
    this.head = element("tr");
    this.body = element("tbody");
    this.caption = element("caption", { className: "unseen" });
    table.append(this.caption, element("thead", {}, this.head), this.body);
    this.rows = new Map();
    this.columns = "";
    this.sortBy = sortBy;
    this.visit = visit;
    this.body.addEventListener("click", (event) => this.click(event));
  }

  click(event) {
    const row = event.target.closest("tr");
    const isLink = event.target.closest("a");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || (!isLink && !getSelection().isCollapsed)) return;
    event.preventDefault();
    this.visit(row.key, row.querySelector("a"));
  }

  setHead({ columns, sort, order }) {
    const names = JSON.stringify(columns);
    if (names !== this.columns) {
      this.columns = names;
      this.rows.clear();
      this.body.replaceChildren();
      this.head.replaceChildren(...columns.map((column) => {
        const button = element("button", { type: "button", title: column.meaning }, column.title);
        button.addEventListener("click", () => {
          const isSorted = this.sorted.sort === column.name;
          this.sortBy(column.name, isSorted ? (this.sorted.order === "asc" ? "desc" : "asc") : null);
        });
        const cell = element("th", { scope: "col", className: column.number ? "number" : "" }, button);
        cell.dataset.name = column.name;
        return cell;
      }));
    }
    this.sorted = { sort, order };
    for (const cell of this.head.children) {
      if (cell.dataset.name !== sort) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", order === "asc" ? "ascending" : "descending");
    }
  }

  // Each row has a `key`, the `cells`, a `link`, its `label` and whether it has `ended`.
  update(list, rows, caption) {
    setText(this.caption, caption);
    this.setHead(list);
    const focused = [...this.body.children].findIndex((row) => row.contains(document.activeElement));
    const known = this.rows;
    this.rows = new Map(rows.map((row) => [row.key, this.row(known.get(row.key), row, list.columns)]));
    arrange(this.body, [...this.rows.values()]);
    // The focus of a row that has disappeared goes to the one in its place.
    if (focused >= 0 && !this.body.contains(document.activeElement)) {
      const next = this.body.children[Math.min(focused, this.body.children.length - 1)];
      (next?.querySelector("a") ?? this.body.closest(".scroll")).focus({ preventScroll: true });
    }
  }

  row(known, { key, cells, link, label, ended }, columns) {
    const row = known ?? element("tr", {}, ...columns.map((column, at) => {
      const cell = element(at ? "td" : "th", { className: column.number ? "number" : "" });
      cell.dataset.name = column.name;
      if (!at) {
        cell.scope = "row";
        cell.append(element("a", {}, element("span", { className: "address" }), element("span")));
      }
      return cell;
    }));
    row.key = key;
    row.classList.toggle("ended", Boolean(ended));
    columns.forEach((column, at) => {
      const cell = row.children[at];
      if (at) setText(cell, cells[at]);
      else {
        const anchor = cell.firstChild;
        if (anchor.getAttribute("href") !== link) anchor.href = link;
        if (anchor.ariaLabel !== label) anchor.ariaLabel = label;
        // A narrow screen shows only the port of a local address.
        const port = column.name === "local" ? cells[at].lastIndexOf(":") : -1;
        setText(anchor.children[0], port > 0 ? cells[at].slice(0, port) : "");
        setText(anchor.children[1], port > 0 ? cells[at].slice(port) : cells[at] || "none");
      }
      if (column.name === "rexmit") cell.classList.toggle("notable", Boolean(cells[at]) && cells[at] !== "0");
    });
    return row;
  }
}
