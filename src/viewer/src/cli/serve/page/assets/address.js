// SPDX-License-Identifier: BSD-2-Clause
// The state of the page, which is the query of its address and of its stream.

export const state = () => new URLSearchParams(location.search);

// Returns the state after changes: a value, several values, or null to remove a parameter.
function changed(changes) {
  const next = state();
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const each of value == null ? [] : [value].flat()) next.append(name, each);
  }
  return next;
}

const address = (next) => (next.size ? `?${next}` : location.pathname);

// Returns the address after changes, for a link.
export const linkTo = (changes) => address(changed(changes));

// Changes the state.  With `visit`, the button Back returns to the state before.
export function change(changes, visit = false) {
  history[visit ? "pushState" : "replaceState"](null, "", linkTo(changes));
}
