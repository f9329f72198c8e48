/** Imports the package. Only this file knows its location. */
export { AdapterStore, OBJECTIVES, Rescorer, alignWords, firstPass, fromSpeech, isHubId, parseNbest } from '../lorb/index.js';
