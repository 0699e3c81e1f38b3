// Makes elements; text is always text, never markup.

export const find = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const figures = (value, digits = 3) =>
  value == null ? "–" : Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });

// A difference is a small number: its size counts, and hardly its digits.
export const small = (value) => (value === 0 ? "0" : value.toExponential(1));

export function bytes(count) {
  if (count == null) return "–";
  return count < 1000 ? `${count} B` : `${figures(count / 1000)} kB`;
}
