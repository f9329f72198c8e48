/** How fast a run goes, without the time that it stood still. */

/** Steps over which the rate is taken. */
const WINDOW = 16;

export class Pace {
  /** Seconds of work at each of the last steps. @type {number[]} */
  #marks = [];
  /** Seconds of work that ended before `#since`. */
  #worked = 0;
  /** @type {number | null} */
  #since = null;
  #steps = 0;

  /** @returns {number} seconds worked */
  get worked() {
    return this.#worked + (this.#since === null ? 0 : (performance.now() - this.#since) / 1000);
  }

  go() {
    this.#since ??= performance.now();
  }

  hold() {
    this.#worked = this.worked;
    this.#since = null;
  }

  step() {
    this.#steps++;
    this.#marks = [...this.#marks, this.worked].slice(-WINDOW - 1);
  }

  /** Steps a second of late, `null` while unknown. */
  rate() {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    return first === undefined || last === undefined || last <= first ? null : (this.#marks.length - 1) / (last - first);
  }

  /** Seconds that so many more steps take, evaluations included, as it went so far. @param {number} steps */
  left(steps) {
    return this.#steps < 2 ? null : (steps * this.worked) / this.#steps;
  }
}
