/** The browser's speech recogniser (Web Speech API), if available. */

/** @import {SpeechResult} from '../lorb/index.js' */

/**
 * @typedef {{lang: string, continuous: boolean, interimResults: boolean, maxAlternatives: number, start(): void, stop(): void, abort(): void,
 *   onresult: ((event: {resultIndex: number, results: ArrayLike<SpeechResult & {isFinal: boolean}>}) => void) | null,
 *   onerror: ((event: {error: string}) => void) | null, onend: (() => void) | null}} Recognition
 */

/** @type {Record<string, string>} */
const FAULTS = {
  'not-allowed': 'This page has no permission to use the microphone.',
  'service-not-allowed': 'This browser does not allow the page to use its recogniser.',
  'audio-capture': 'No microphone was found.',
  network: 'The browser’s recogniser needs a network connection.',
  'no-speech': 'No speech was detected.',
  'language-not-supported': 'The browser’s recogniser does not support this language.',
};

/** @returns {(new () => Recognition) | undefined} */
export function recogniser() {
  return Reflect.get(globalThis, 'SpeechRecognition') ?? Reflect.get(globalThis, 'webkitSpeechRecognition');
}

/**
* Listens to one utterance. Returns a function that stops it.
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
    if (error !== 'aborted') onFault(FAULTS[error] ?? `The browser’s recogniser reported “${error}”.`);
  };
  recognition.onend = onEnd;
  recognition.start();
  return () => recognition.stop();
}
