/** N-best lists from the Web Speech API. */

import type { Hypothesis, SpeechResult } from './types.js';

/**
 * The alternatives of a `SpeechRecognitionResult` as hypotheses. A confidence in (0, 1] becomes its logarithm; 0 is what browsers
 * give where they have none, most often for all but the first alternative, and leaves the score absent.
 */
export function fromSpeech(result: SpeechResult): Hypothesis[] {
  return Array.from({ length: result.length }, (_, at) => {
    const { transcript, confidence } = result[at]!;
    // Chrome begins the later results of an utterance with a blank.
    const text = transcript.trim();
    return confidence > 0 && confidence <= 1 ? { text, score: Math.log(confidence) } : { text };
  });
}

/** A real result is no array: it has a length, and alternatives by number. */
export function isSpeechResult(value: unknown): value is SpeechResult {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { length, 0: first } = value as Partial<SpeechResult>;
  return typeof length === 'number' && length > 0 && typeof first?.transcript === 'string';
}
