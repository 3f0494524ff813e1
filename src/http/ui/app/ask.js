// What the server is asked for: profiles as JSON, one at a time, and the marks, which are answers that the page keeps.

const MOST_MARKS = 8, MARK_MS = 3600000, TRIES = 3;

class Refused extends Error {}

class Ask {
  constructor() {
    this.marks = [];
    this.running = null;
  }

  // The answer to a relative address; the one before it is not waited for any more.
  async json(address) {
    if (this.running) this.running.abort();
    const mine = this.running = new AbortController();
    let answer;
    try {
      for (let tries = 1; ; tries++) {
        answer = await fetch(`../${address}`, { cache: "no-store", signal: mine.signal });
        // All connections are taken, or the watch has only just begun.
        if (answer.status !== 503 || !answer.headers.has("Retry-After") || tries === TRIES) break;
        await new Promise((next) => setTimeout(next, 1000 * answer.headers.get("Retry-After")));
      }
      const text = await answer.text();
      if (!answer.ok) throw new Refused(text.trim() || `The server answers with status ${answer.status}.`);
      this.arrived = performance.now();
      return JSON.parse(text);
    } catch (error) {
      if (error.name === "AbortError" || error instanceof Refused) throw error;
      throw new Refused(answer ? "The answer ended before it was whole." : "The server does not answer. It may have ended, or the way to it is cut.");
    } finally {
      if (this.running === mine) this.running = null;
    }
  }

  // Marks are of one address: what is compared was asked for in the same way.
  mark(address, answer) {
    this.marks.push({ id: `mark-${Date.now()}`, address, answer, time: Date.now() });
    this.expire();
  }

  expire() {
    this.marks = this.marks.filter((mark) => Date.now() - mark.time < MARK_MS).slice(-MOST_MARKS);
  }

  marksOf(address) {
    this.expire();
    return this.marks.filter((mark) => mark.address === address);
  }
}
