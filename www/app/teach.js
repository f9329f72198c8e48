/** Teach it, part two: settings, the run's buttons and messages. */

import { announce, box, button, fill, get, input, select } from './dom.js';
import { startCorrections } from './corrections.js';
import { choices, describe, gather } from './lessons.js';
import { explain, notify, notifyError } from './notices.js';
import { OBJECTIVES } from './package.js';
import { Run } from './run.js';
import { READY_MADE } from './samples.js';
import { dropRun, keptRun } from './shelf.js';
import { on, state } from './state.js';

/** @import {TrainOptions} from './types.js' */
/** @import {RunNotes} from './shelf.js' */

/** Small batches, because few lists would otherwise give too few steps. @param {number} lists */
const batchTokens = (lists) => (lists < 100 ? 512 : 1024);

/** @type {Run | null} */
let run = null;
/** @type {{notes: RunNotes, checkpoint: Uint8Array} | undefined} */
let unfinished;

export function startTeach() {
  startCorrections();
  // The lists of the page have no teacher's scores.
  const objectives = OBJECTIVES.filter(({ name }) => name !== 'md');
  fill(select('tune-objective'), objectives.map(({ name, label }) => [name, label]));
  get('tune-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void begin();
  });
  select('tune-data').addEventListener('change', offer);
  button('tune-pause').addEventListener('click', () => {
    run?.toggle();
    controls();
  });
  button('tune-stop').addEventListener('click', () => {
    run?.stop();
    controls();
  });
  button('tune-resume').addEventListener('click', () => void resume());
  button('tune-discard').addEventListener('click', () => void discard());
  on(['lessons'], offer);
  on(['model', 'busy'], controls);
  offer();
  void findUnfinished();
}

function offer() {
  fill(select('tune-data'), choices());
  box('tune-summary').textContent = describe(select('tune-data').value);
  controls();
}

async function findUnfinished() {
  try {
    unfinished = await keptRun();
  } catch {
    // A browser without a private file system stores no run.
    unfinished = undefined;
  }
  if (unfinished && !run) {
    const { notes } = unfinished;
    box('run').hidden = false;
    Run.replay(notes);
    box('run-said').textContent = `“${notes.options.adapter}” stopped at step ${notes.step} of ${notes.steps} when the page was closed. ${state.rescorer ? '' : 'Load the model to continue.'}`;
  }
  controls();
}

/** @returns {TrainOptions} */
function settings() {
  const normalize = /** @type {NonNullable<TrainOptions['normalize']>} */ (select('tune-texts').value);
  return {
    adapter: input('tune-name').value.trim(),
    epochs: input('tune-epochs').valueAsNumber,
    r: input('tune-r').valueAsNumber,
    alpha: 2 * input('tune-r').valueAsNumber,
    lr: input('tune-lr').valueAsNumber,
    targetModules: select('tune-targets').value.split(','),
    objective: /** @type {TrainOptions['objective']} */ (select('tune-objective').value),
    normalize,
    join: normalize !== 'none',
    evalsPerEpoch: 2,
    seed: 0,
  };
}

async function begin() {
  if (!state.rescorer || state.busy) return;
  const options = settings();
  if (Object.values(READY_MADE).includes(options.adapter ?? '')) {
    notify(box('run-notices'), { kind: 'problem', headline: `“${options.adapter}” is the name of a ready-made adapter; choose another.`, key: 'error' });
    box('run').hidden = false;
    return input('tune-name').focus();
  }
  try {
    const { train, dev } = await gather(select('tune-data').value);
    await start({ base: state.rescorer.hash, options: { ...options, batchTokens: batchTokens(train.length) }, train, dev, step: 0, steps: 0, history: [] }, undefined);
  } catch (error) {
    box('run').hidden = false;
    notifyError(box('run-notices'), error);
  }
}

async function resume() {
  if (!state.rescorer || !unfinished || state.busy) return;
  const { notes, checkpoint } = unfinished;
  if (notes.base !== state.rescorer.hash) {
    notify(box('run-notices'), { kind: 'problem', headline: 'The unfinished run belongs to another model. Load that one, or discard the run.', key: 'error' });
    return;
  }
  await start(notes, checkpoint);
}

/** @param {RunNotes} notes @param {Uint8Array | undefined} checkpoint */
async function start(notes, checkpoint) {
  const { rescorer } = state;
  if (!rescorer) return;
  unfinished = undefined;
  box('run').hidden = false;
  box('run-notices').replaceChildren();
  run = new Run(rescorer, notes, checkpoint);
  const running = run.drive();
  controls();
  button('tune-pause').focus({ preventScroll: true });
  try {
    await running;
    announce('The run has ended.');
  } catch (error) {
    notifyError(box('run-notices'), error);
    box('run-said').textContent = explain(error).headline;
  } finally {
    run = null;
    await findUnfinished();
  }
}

async function discard() {
  unfinished = undefined;
  box('run').hidden = true;
  controls();
  await dropRun().catch(() => {});
  button('tune-start').focus();
}

function controls() {
  const running = run !== null;
  const waiting = unfinished !== undefined && !running;
  button('tune-start').hidden = running;
  button('tune-start').disabled = !state.rescorer || state.busy !== null;
  button('tune-start').textContent = state.rescorer ? 'Tune' : 'Tune: load the model first';
  button('tune-pause').hidden = button('tune-stop').hidden = !running;
  button('tune-pause').textContent = run?.paused ? 'Resume' : 'Pause';
  button('tune-resume').hidden = button('tune-discard').hidden = !waiting;
  button('tune-resume').disabled = !state.rescorer || state.busy !== null;
  const fields = get('tune-form', HTMLFormElement).querySelectorAll('input, select');
  for (const field of fields) if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.disabled = running;
}

