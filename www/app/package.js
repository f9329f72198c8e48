/** Imports the package. Only this file knows its location. */
export { AdapterStore, Rescorer, alignWords, fromSpeech, parseNbest } from '../lorb/index.js';
