/** N-best lists from the Web Speech API. */

import type { Hypothesis, SpeechResult } from './types.js';

/**
 * The alternatives of a `SpeechRecognitionResult` as hypotheses. The score is the logarithm of a
 * confidence in (0, 1]. Browsers report 0 if they have no confidence, usually for all but the first
 * alternative; such a hypothesis has no score.
 */
export function fromSpeech(result: SpeechResult): Hypothesis[] {
  return Array.from({ length: result.length }, (_, at) => {
    const { transcript, confidence } = result[at]!;
    // Chrome starts the later results of an utterance with a space.
    const text = transcript.trim();
    return confidence > 0 && confidence <= 1 ? { text, score: Math.log(confidence) } : { text };
  });
}

/** A real result is not an array: it has a length and numbered alternatives. */
export function isSpeechResult(value: unknown): value is SpeechResult {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { length, 0: first } = value as Partial<SpeechResult>;
  return typeof length === 'number' && length > 0 && typeof first?.transcript === 'string';
}
