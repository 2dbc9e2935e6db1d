// Questions to the server, and the parts of the page that show the answers.

const RETRY_MS = 5000; // a rollup that writes to the database is done soon

/** The server's JSON answer. Throws an Error with a message for the reader. */
export async function ask(address, signal) {
  let answer;
  try {
    answer = await fetch(address, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is fasthits serve running?");
  }
  let document;
  try {
    document = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(`The server answers ${answer.status}, and not with numbers.`);
  }
  if (!answer.ok) throw Object.assign(new Error(document.error), { passes: answer.status === 503 });
  return document;
}

/** A part of the page that shows the answer to one question. It is busy from a question to its answer. */
export class Panel {
  #box;
  #draw;
  #fail;
  #asking = new AbortController();
  #address = null;
  #answer = null;

  constructor(box, draw, fail) {
    this.#box = box;
    this.#draw = draw;
    this.#fail = fail;
  }

  /** Show the answer to *address*. An answer to an earlier question is dropped when it comes late. */
  async show(address, choice) {
    if (address === this.#address && this.#answer) {
      this.#draw(this.#answer, choice);
      return;
    }
    this.#box.setAttribute("aria-busy", "true");
    this.#answer = null;
    this.#address = address;
    await this.#find(choice, () => true);
  }

  /** Ask the same question again, and show the answer if it is another. */
  async refresh(choice) {
    if (this.#address && this.#box.getAttribute("aria-busy") !== "true") {
      const before = JSON.stringify(this.#answer);
      await this.#find(choice, (answer) => JSON.stringify(answer) !== before);
    }
  }

  async #find(choice, isNew) {
    this.#asking.abort();
    const { signal } = this.#asking = new AbortController();
    try {
      const answer = await ask(this.#address, signal);
      if (signal.aborted) return;
      if (isNew(answer)) this.#draw(answer, choice);
      this.#answer = answer;
    } catch (error) {
      if (signal.aborted) return;
      this.#answer = null;
      this.#fail(error.message, choice);
      if (error.passes) setTimeout(() => signal.aborted || document.hidden || this.refresh(choice), RETRY_MS);
    }
    this.#box.removeAttribute("aria-busy");
  }
}
