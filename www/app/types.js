/**
 * Types of the page.
 *
 * @typedef {{id: string, ref?: string | null, nbest: {text: string, score?: number | null}[]}} List an utterance in the page
 * @typedef {import('../lorb/index.js').Ranked} Ranked
 * @typedef {import('../lorb/index.js').Report} Report
 * @typedef {import('../lorb/index.js').AdapterInfo} AdapterInfo
 * @typedef {import('../lorb/index.js').TrainMessage} TrainMessage
 * @typedef {import('../lorb/index.js').TrainOptions} TrainOptions
 * @typedef {import('../lorb/index.js').ProgressEvent} LoadEvent
 * @typedef {import('../lorb/index.js').Source} Source
 */
export {};
