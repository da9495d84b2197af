import type { LanguageModel } from '@saccade/models';

/** Asks one question after the other; what was said stays in the cache. */
export async function interview(model: LanguageModel, questions: readonly string[]): Promise<string[]> {
  const chat = model.chat({ messages: [{ role: 'system', content: 'Answer in one sentence.' }] });
  const answers: string[] = [];
  for (const question of questions) {
    let answer = '';
    for await (const piece of chat.send(question, { maxTokens: 40 })) answer += piece.text;
    answers.push(answer);
  }
  chat.dispose();
  return answers;
}
