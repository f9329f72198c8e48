/** The package, as the page uses it; one place that knows where it lies. */
export { AdapterStore, Rescorer, alignWords, fromSpeech, parseNbest } from '../lorb/index.js';
