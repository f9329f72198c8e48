/** The browser's own recogniser (Web Speech API), where there is one. */

/** @import {SpeechResult} from '../lorb/index.js' */

/**
 * @typedef {{lang: string, continuous: boolean, interimResults: boolean, maxAlternatives: number, start(): void, stop(): void, abort(): void,
 *   onresult: ((event: {resultIndex: number, results: ArrayLike<SpeechResult & {isFinal: boolean}>}) => void) | null,
 *   onerror: ((event: {error: string}) => void) | null, onend: (() => void) | null}} Recognition
 */

/** @type {Record<string, string>} */
const FAULTS = {
  'not-allowed': 'The microphone is not allowed for this page.',
  'service-not-allowed': 'This browser does not let the page use its recogniser.',
  'audio-capture': 'There is no microphone.',
  network: 'The browser’s recogniser needs a network and has none.',
  'no-speech': 'Nothing was heard.',
  'language-not-supported': 'The browser’s recogniser does not know this language.',
};

/** @returns {(new () => Recognition) | undefined} */
export function recogniser() {
  return Reflect.get(globalThis, 'SpeechRecognition') ?? Reflect.get(globalThis, 'webkitSpeechRecognition');
}

/**
 * Listens to one utterance. Returns what stops it.
 * @param {{onPartial(text: string): void, onResult(result: SpeechResult): void, onFault(text: string): void, onEnd(): void}} on
 */
export function listen({ onPartial, onResult, onFault, onEnd }) {
  const Recogniser = recogniser();
  if (!Recogniser) throw new Error('this browser has no recogniser');
  const recognition = new Recogniser();
  recognition.lang = navigator.language.startsWith('en') ? navigator.language : 'en-US';
  recognition.continuous = false;
  recognition.interimResults = true;
  recognition.maxAlternatives = 10;
  recognition.onresult = (event) => {
    const result = event.results[event.resultIndex];
    if (!result) return;
    if (result.isFinal) onResult(result);
    else onPartial(result[0]?.transcript ?? '');
  };
  recognition.onerror = ({ error }) => {
    if (error !== 'aborted') onFault(FAULTS[error] ?? `The browser’s recogniser says “${error}”.`);
  };
  recognition.onend = onEnd;
  recognition.start();
  return () => recognition.stop();
}
