// What a message will be as SMS: a hint while typing. The gateway counts for itself, and its count is what is charged.

const BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION = "^{}\\[~]|€\f";

/** {encoding, units, parts, left}: GSM 03.38 septets when every character has one, else UTF-16 units. */
export function count(text) {
  let septets = 0;
  for (const char of text) {
    if (BASIC.includes(char)) septets += 1;
    else if (EXTENSION.includes(char)) septets += 2;
    else return fit("UCS-2", text.length, 70, 67);
  }
  return fit("GSM-7", septets, 160, 153);
}

function fit(encoding, units, single, joined) {
  const parts = units <= single ? 1 : Math.ceil(units / joined);
  const room = parts === 1 ? single : parts * joined;
  return { encoding, units, parts, left: room - units };
}

/** Ids are decimal strings beyond a double's precision: longer is greater, then as text. */
export function compareIds(a, b) {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Minor units as the currency is written here; the code itself where the browser does not know it. */
export function formatPrice(minor, currency) {
  if (!currency) return "";
  if (!minor) return "free";
  try {
    const style = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return style.format(minor / 10 ** style.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${minor} ${currency}`;
  }
}
