// SPDX-License-Identifier: BSD-2-Clause
// The page of `tcpstats serve`: reads a stream of events, each of which has everything that is
// shown, and shows it.  The address of the page has the filter and the order, which the server
// applies.

import { change, linkTo, state } from "./address.js";
import { Details } from "./connection.js";
import { Table, element, setText } from "./table.js";

const at = (id) => document.getElementById(id);
const filter = at("filter");

// The time without an event after which the server is assumed to have disappeared, the time to
// wait before another attempt, and the time after which a filter that is typed is applied.
const SILENCE = 16000;
const RETRY = 2000;
const TYPING = 300;

let stream = null;
// The query of the stream: the last one without a mistake.
let query = null;
let last = null;
let isPaused = false;
let timer = 0;
// What a screen reader is to announce with the next event.
let announces = "";
let visited = null;
let wrong = null;
let trouble = null;

const conditions = {
  waiting: "Connecting…",
  live: "Live",
  over: "End of the log",
  paused: "Paused",
  failed: "Source failed",
  lost: "Connection to the server lost; reconnecting…",
  full: "The server has no room for another page; retrying…",
};

// Sets the text only if it has changed, so that it is announced once.
function setCondition(name) {
  at("condition").dataset.condition = name;
  setText(at("condition"), conditions[name]);
  document.body.classList.toggle("stale", !["live", "over"].includes(name));
}

// Shows a mistake in the address, or an error of the source.
function setTrouble() {
  const text = wrong ?? trouble;
  at("trouble").hidden = !text;
  setText(at("trouble"), text ?? "");
}

function close() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

function later(action, delay) {
  clearTimeout(timer);
  timer = setTimeout(action, delay);
}

function open() {
  close();
  if (isPaused || document.hidden) return;
  stream = new EventSource(`events?${query}`);
  const heard = () => later(lost, SILENCE);
  stream.onmessage = (event) => {
    heard();
    show(JSON.parse(event.data));
  };
  stream.addEventListener("beat", heard);
  stream.onerror = lost;
  heard();
}

function lost() {
  setCondition("lost");
  // The browser connects again by itself, unless the server has refused.
  if (stream?.readyState === EventSource.CONNECTING) later(restart, SILENCE);
  else {
    close();
    later(restart, RETRY);
  }
}

// Opens a stream for the state in the address.  A parameter with a mistake keeps its last valid
// value.
async function restart() {
  const asked = `${state()}`;
  const valid = state();
  const mistakes = [];
  let status;
  try {
    for (;;) {
      const mistake = await (await fetch(`filter?${valid}`)).json();
      if (!mistake || mistakes.length > 9) break;
      const isFirst = !mistakes.some(({ name }) => name === mistake.name);
      mistakes.push(mistake);
      valid.delete(mistake.name);
      for (const value of isFirst ? new URLSearchParams(query ?? "").getAll(mistake.name) : []) valid.append(mistake.name, value);
    }
    status = (await fetch(`events?${valid}`, { method: "HEAD" })).status;
  } catch {
    lost();
    return;
  }
  // The state may have changed in the meantime.
  if (asked !== `${state()}`) return;
  const [inFilter, others] = [true, false].map((is) => mistakes.filter(({ name }) => (name === "filter") === is));
  showMistake(inFilter[0]);
  wrong = others.length ? `${others[0].name}: ${others[0].text}` : null;
  setTrouble();
  if (status === 503) {
    setCondition("full");
    later(restart, RETRY);
    return;
  }
  query = `${valid}`;
  open();
}

// Shows a mistake in the filter below the field, with a mark at its position.
function showMistake(mistake) {
  filter.ariaInvalid = String(Boolean(mistake));
  const place = at("place");
  place.hidden = mistake?.column == null;
  if (!place.hidden) setText(place, `${" ".repeat(mistake.column)}^`);
  const where = mistake?.column == null ? "" : `at character ${mistake.column + 1}: `;
  setText(at("mistake"), mistake ? `${where}${mistake.text}` : "");
  followFilter();
}

const followFilter = () => at("place").style.setProperty("translate", `${-filter.scrollLeft}px`);

// Changes the state and follows it.
function go(changes, visit) {
  change(changes, visit);
  render();
  restart();
}

const sortBy = (prefix) => (name, order) => {
  announces = "sorted";
  go({ [`${prefix}sort`]: name, [`${prefix}order`]: order });
};

const groups = new Table(at("groups"), sortBy("g"), (values) => {
  announces = "filtered";
  go({ group: values.length ? JSON.parse(values) : null }, true);
});
const connections = new Table(at("connections"), sortBy(""), (key) => {
  visited = key;
  go({ open: key.split(" ")[0] }, true);
  at("opened-title").focus();
});
const details = new Details(at("opened"));

function clock(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(11, 19)} UTC`;
}

function plural(count, name) {
  return `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;
}

// Shows what depends only on the address.
function render() {
  const wanted = state();
  if (filter !== document.activeElement) filter.value = wanted.get("filter") ?? "";
  at("ended").checked = wanted.get("ended") !== "0";
  const isMore = wanted.has("groups");
  at("more").ariaExpanded = String(isMore);
  setText(at("more"), isMore ? "Show fewer" : "Show more");
  const group = wanted.getAll("group");
  at("all").hidden = !group.length;
  setText(at("all"), `Only ${group.map((value) => value || "none").join(", ")} – show all`);
  const opened = wanted.get("open");
  if (opened) details.update(opened, last?.open === opened ? last.opened : undefined);
  else details.hide();
}

function showSampling({ filter: only, interval, time, walk, missed, incomplete, lost, interrupted }) {
  const parts = [time && clock(time), interval && `every ${interval}`, walk && `walk ${walk}`];
  if (only) parts.push(`only ${only}`);
  if (incomplete) parts.push(`${missed} missed`);
  if (lost) parts.push(`${lost} without a final record`);
  if (interrupted) parts.push("tables changed");
  setText(at("sampling"), parts.filter(Boolean).join(" · "));
}

function showLabels({ labels, by }) {
  const fieldset = at("by");
  if (fieldset.dataset.labels !== labels.join()) {
    fieldset.dataset.labels = labels.join();
    fieldset.replaceChildren(fieldset.firstElementChild, ...labels.map((name) => {
      const box = element("input", { type: "checkbox", value: name });
      box.addEventListener("change", () => {
        const checked = [...fieldset.querySelectorAll(":checked")].map((each) => each.value);
        announces = "grouped";
        go({ by: checked.join(), group: null });
      });
      return element("label", {}, box, name);
    }));
  }
  for (const box of fieldset.querySelectorAll("input")) box.checked = by.includes(box.value);
}

function showTotals({ totals, states, seen }) {
  const { connections: count } = totals;
  setText(at("total-connections"), count.toLocaleString("en") + (seen > count ? ` of ${seen.toLocaleString("en")}` : ""));
  setText(at("total-send"), totals.send ?? "");
  setText(at("total-receive"), totals.receive ?? "");
  setText(at("total-rexmit"), totals.rexmit ?? "");
  at("total-rexmit").classList.toggle("notable", totals.retransmits);
  const list = at("states");
  while (list.children.length > states.length) list.lastChild.remove();
  states.forEach(([name, number], place) => {
    const item = list.children[place] ?? list.appendChild(element("li", {}, element("span"), element("b")));
    setText(item.firstChild, `${name} `);
    setText(item.lastChild, number.toLocaleString("en"));
  });
}

// Shows an event.
function show(event) {
  const wanted = state();
  last = { open: new URLSearchParams(query).get("open"), opened: event.opened ?? null };
  setText(at("source"), event.source);
  document.title = `${event.source} – tcpstats`;
  setCondition(event.error ? "failed" : event.over ? "over" : "live");
  trouble = event.error && event.error + (event.connections ? ". The last snapshot is shown." : "");
  setTrouble();
  showLabels(event);
  showSampling(event);
  if (!event.connections) return;
  showTotals(event);
  groups.update(event.groups, event.groups.rows.map(([values, cells]) => ({
    key: JSON.stringify(values), cells, link: linkTo({ group: values.length ? values : null }),
    label: `Connections of ${values.map((value) => value || "none").join(", ") || "all groups"}`,
  })), `Groups by ${event.by.join(", ") || "nothing"}`);
  const { total, rows } = event.connections;
  setText(at("groups-title"), `Groups (${event.groups.total.toLocaleString("en")})`);
  at("more").hidden = event.groups.total <= event.groups.rows.length && !wanted.has("groups");
  const shown = total > event.limit ? `the first ${event.limit} of ${plural(total, "connection")}` : plural(total, "connection");
  setText(at("shown"), shown);
  connections.update(event.connections, rows.map(([id, ended, cells]) => ({
    // A connection that has ended can also be in TIME_WAIT.
    key: ended ? `${id} ended` : id, cells, ended, link: linkTo({ open: id }), label: `${cells[0]} to ${cells[1]}`,
  })), `Connections: ${shown}`);
  if (wanted.get("open")) details.update(wanted.get("open"), last.open === wanted.get("open") ? last.opened : undefined);
  if (announces) {
    setText(at("announcement"), `${announces}: ${shown}, ${plural(event.groups.total, "group")}`);
    announces = "";
  }
}

let typing = 0;
function applyFilter() {
  clearTimeout(typing);
  announces = "filtered";
  go({ filter: filter.value.trim() || null });
}
filter.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(applyFilter, TYPING);
});
filter.addEventListener("scroll", followFilter);
at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  applyFilter();
});
at("ended").addEventListener("change", () => go({ ended: at("ended").checked ? null : "0" }));
at("more").addEventListener("click", () => go({ groups: state().has("groups") ? null : "200" }));
at("all").addEventListener("click", () => {
  announces = "filtered";
  go({ group: null }, true);
  at("connections").closest(".scroll").focus({ preventScroll: true });
});
function closeDetails() {
  go({ open: null }, true);
  const link = visited && connections.rows.get(visited)?.querySelector("a");
  (link ?? at("connections").closest(".scroll")).focus();
}
at("close").addEventListener("click", closeDetails);
at("opened").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeDetails();
});
at("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  at("pause").ariaPressed = String(isPaused);
  if (isPaused) {
    close();
    setCondition("paused");
  } else restart();
});
// A page that nobody sees reads nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? close() : restart()));
addEventListener("popstate", () => {
  render();
  restart();
});

render();
restart();
