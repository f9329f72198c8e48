/** The speed of a run, without pauses. */

/** Number of steps over which the rate is averaged. */
const WINDOW = 16;

export class Pace {
  /** Working time in seconds at each of the last steps. @type {number[]} */
  #marks = [];
  /** Working time in seconds before `#since`. */
  #worked = 0;
  /** @type {number | null} */
  #since = null;
  #steps = 0;

  /** @returns {number} working time in seconds */
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

  /** Recent steps per second, `null` if unknown. */
  rate() {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    return first === undefined || last === undefined || last <= first ? null : (this.#marks.length - 1) / (last - first);
  }

  /** Estimated seconds for this many more steps, including evaluations. @param {number} steps */
  left(steps) {
    return this.#steps < 2 ? null : (steps * this.worked) / this.#steps;
  }
}
