/** One training run: drives the package's iterator, stores checkpoints, shows progress. */

import { RunChart } from './chart.js';
import { announce, box, get } from './dom.js';
import { duration, percent, plural } from './format.js';
import { modelLost } from './model.js';
import { notify } from './notices.js';
import { Pace } from './pace.js';
import { dropRun, keepAdapter, keepRun } from './shelf.js';
import { changed, occupy } from './state.js';

/** @import {Rescorer} from '../lorb/index.js' */
/** @import {TrainMessage} from './types.js' */
/** @import {RunNotes} from './shelf.js' */

/** Seconds between checkpoints. */
const KEEP_EVERY = 15;

/** @type {RunChart | undefined} */
let chart;

function freshChart() {
  chart ??= new RunChart(box('chart'));
  chart.reset();
  return chart;
}

export class Run {
  #rescorer;
  #notes;
  #checkpoint;
  #trainer;
  #pace = new Pace();
  #chart;
  #keptAt = performance.now();
  /** Whether this browser refused to store a checkpoint. */
  #unkept = false;

  /** @param {Rescorer} rescorer @param {RunNotes} notes @param {Uint8Array | undefined} checkpoint */
  constructor(rescorer, notes, checkpoint) {
    this.#rescorer = rescorer;
    this.#notes = notes;
    this.#checkpoint = checkpoint;
    this.#trainer = rescorer.createTrainer(notes.options);
    this.#chart = freshChart();
    for (const message of notes.history) this.#chart.push(message);
    showRate(notes);
  }

  /** Shows a stored run. @param {RunNotes} notes */
  static replay(notes) {
    const chart = freshChart();
    for (const message of notes.history) chart.push(message);
    showStep(notes.step, notes.steps);
    showRate(notes);
  }

  get paused() {
    return this.#trainer.state === 'paused';
  }

  /** Pauses or resumes. */
  toggle() {
    if (this.paused) {
      this.#trainer.resume();
      this.#pace.go();
      say('Resumed.');
    } else {
      this.#trainer.pause();
      this.#pace.hold();
      say('Pausing after the current step.');
    }
  }

  stop() {
    say('Stopping. The best checkpoint so far becomes the adapter.');
    this.#trainer.stop();
  }

  async drive() {
    const { train, dev, options } = this.#notes;
    occupy('tuning');
    say('Preparing the lists…');
    box('run-rate').textContent = box('run-left').textContent = '–';
    this.#pace.go();
    try {
      const runOptions = this.#checkpoint ? { checkpoint: this.#checkpoint } : {};
      for await (const message of this.#trainer.run(train, dev, runOptions)) {
        this.#show(message);
        await this.#keep(message);
      }
      await this.#shelve(options.adapter ?? 'default');
    } catch (error) {
      await this.#rescue(error);
      throw error;
    } finally {
      occupy(null);
    }
  }

  /** @param {TrainMessage} message */
  #show(message) {
    this.#chart.push(message);
    if (message.type === 'started' || message.type === 'step' || message.type === 'evaluated') this.#notes.history.push(message);
    switch (message.type) {
      case 'started': {
        const { usable, utterances, hypotheses, trainable, base_parameters: base } = message;
        const skipped = utterances > usable ? ` ${utterances - usable} of ${utterances} lists were skipped: all guesses have the same number of errors, or there is no reference.` : '';
        say(`${plural(usable, 'list')}, ${plural(hypotheses, 'guess', 'guesses')}; ${plural(trainable, 'trainable parameter')}, ${percent(trainable / base, 2)} of the model.${skipped}`);
        this.#notes.steps = message.steps;
        showStep(message.done, message.steps);
        break;
      }
      case 'step': {
        this.#pace.step();
        this.#notes.step = message.step;
        showStep(message.step, message.steps);
        const rate = this.#pace.rate();
        box('run-rate').textContent = rate === null ? '–' : rate < 10 ? rate.toFixed(2) : rate.toFixed(0);
        const left = this.#pace.left(message.steps - message.step);
        box('run-left').textContent = left === null ? '–' : duration(left);
        break;
      }
      case 'evaluated':
        box('run-wer').textContent = percent(message.wer);
        announce(`Step ${message.step}: dev word error rate ${percent(message.wer)}, first pass ${percent(message.wer_first)}.`);
        break;
      case 'warning':
        notify(box('run-notices'), { headline: 'Warning', detail: message.text, key: message.kind });
        break;
      case 'recovered': {
        this.#notes.history = this.#notes.history.filter((kept) => !('step' in kept) || kept.step <= message.step);
        const lost = message.steps_lost === 0 ? 'nothing was lost' : `${plural(message.steps_lost, 'step')} had to be repeated`;
        notify(box('run-notices'), { headline: `The GPU was lost and has been restarted; ${lost}.`, detail: message.reason, key: 'recovered' });
        showStep(message.step, this.#notes.steps);
        break;
      }
      case 'stopped':
        say(`Stopped at step ${message.step} of ${message.steps}. The best checkpoint so far is the adapter.`);
        break;
      case 'finished': {
        const best = message.best_step === null ? '' : `. The best checkpoint is step ${message.best_step}, with ${percent(message.best_wer)} dev WER`;
        say(`Done in ${duration(this.#pace.worked)}${best}.`);
        box('run-left').textContent = 'done';
        break;
      }
    }
  }

  /** Writes a checkpoint periodically and whenever the run is paused, so that closing the page loses little. @param {TrainMessage} message */
  async #keep(message) {
    if (this.#unkept || (message.type !== 'step' && message.type !== 'evaluated')) return;
    if (!this.paused && performance.now() - this.#keptAt < 1000 * KEEP_EVERY) return;
    this.#keptAt = performance.now();
    try {
      await keepRun(this.#notes, await this.#trainer.checkpoint());
      if (this.paused) say(`Paused at step ${this.#notes.step}. The run is stored on this device; you can close the page.`);
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'DeviceLostError' || error.name === 'WorkerDiedError') throw error;
      this.#unkept = true;
      notify(box('run-notices'), { headline: 'This browser cannot store the run: keep the page open until it is done.', detail: error.message, key: 'unkept' });
    }
  }

  /** @param {string} name */
  async #shelve(name) {
    changed('adapters');
    await dropRun().catch(() => {});
    try {
      await keepAdapter(name, await this.#rescorer.saveAdapter(name));
      notify(box('run-notices'), { kind: 'good', headline: `“${name}” is ready and stored on this device. Compare it below, or try it above.`, key: 'ready' });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      notify(box('run-notices'), { headline: `“${name}” is ready, but this browser cannot store it: download it before you close the page.`, detail, key: 'ready' });
    }
  }

  /** If the device is lost for good, the run can continue after the model is reloaded. @param {unknown} error */
  async #rescue(error) {
    if (!(error instanceof Error) || error.name !== 'DeviceLostError') return;
    const checkpoint = /** @type {{checkpoint?: Uint8Array}} */ (error).checkpoint;
    if (checkpoint) await keepRun(this.#notes, checkpoint).catch(() => {});
    await modelLost();
  }
}

/** @param {number} step @param {number} steps */
function showStep(step, steps) {
  box('run-step').textContent = `${step} / ${steps}`;
  get('run-bar', HTMLProgressElement).value = steps ? (100 * step) / steps : 0;
}

/** The latest dev WER. @param {RunNotes} notes */
function showRate({ history }) {
  const last = history.findLast((message) => message.type === 'evaluated');
  box('run-wer').textContent = last?.type === 'evaluated' ? percent(last.wer) : '–';
}

/** @param {string} text */
function say(text) {
  box('run-said').textContent = text;
}
