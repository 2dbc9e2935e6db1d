// Numbers, days and paths for people to read. The page shows all of this as text, never as markup.

const COUNTS = new Intl.NumberFormat("en");
const RATES = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const DAYS = new Intl.DateTimeFormat("en", { weekday: "short", day: "numeric", month: "short", year: "numeric",
  timeZone: "UTC" });

export const count = (number) => COUNTS.format(number);
export const rate = (number) => number === null ? "–" : RATES.format(number);
export const day = (text) => DAYS.format(new Date(text));

/** A path with escapes for characters that are invisible or would reverse the text. */
export function readable(path) {
  return path.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (char) => {
    const code = char.codePointAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The name of a page: its path. Of a path too long for a counter's key only the hash is known. */
export const pageName = (path) => path.startsWith("#") ? `a long or unusual path (${path})` : readable(path);

/** The server's JSON answer. Throws an Error with a message for the reader. */
export async function ask(address, signal) {
  let answer;
  try {
    answer = await fetch(address, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer");
  }
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error);
  return document;
}
