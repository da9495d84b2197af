import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workspace } from '../workspace.ts';

/** The first page: what this is and for whom, then `content/home.md`. */
export function homePage(): string {
  const frontMatter = {
    layout: 'home',
    hero: {
      name: 'Saccade',
      text: 'Models that look only where the information is',
      image: { src: '/pictures/flash-attention-2.svg', alt: 'Time of attention by length, measured' },
      tagline:
        'Attention methods for WebGPU, in TypeScript. For people who run language, vision and diffusion models in the browser or in Node, and for researchers who try out where a transformer needs to look.',
      actions: [
        { theme: 'brand', text: 'Start here', link: '/guides/start' },
        { theme: 'alt', text: 'Methods', link: '/methods/' },
        { theme: 'alt', text: 'Write a method', link: '/guides/write-a-method' },
      ],
    },
    features: [
      {
        title: 'A method is a value',
        details:
          'Pass it to a call, leave it out to run dense. Each paper is a package of its own; models are never patched.',
        link: '/guides/run-a-model',
      },
      {
        title: 'One attention engine',
        details:
          'Dense, causal, windows, token and block lists, masks that compose, gradients. What is not listed is not loaded.',
        link: '/guides/attention-engine',
      },
      {
        title: 'Measured, not claimed',
        details:
          'Every method beside dense attention, plain baselines and the oracle at equal budgets. What does not reproduce is said.',
        link: '/methods/',
      },
    ],
  };
  const body = readFileSync(join(workspace, 'apps', 'docs', 'content', 'home.md'), 'utf8');
  // JSON is YAML, too.
  return `---\n${JSON.stringify(frontMatter)}\n---\n\n<div class="home-content vp-doc">\n\n${body}\n</div>\n`;
}
