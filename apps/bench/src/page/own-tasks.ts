/** The page's own tasks, as results call them and people read them. */
export const ownTasks = {
  text: {
    name: 'page/text',
    title: 'Your own prompt',
    description:
      'One prompt, continued greedily. Agreement is the share of tokens that equal those of the dense run; a single text says little about quality.',
  },
  fill: {
    name: 'page/fill',
    title: 'Your own prompt, filled in',
    description:
      'One prompt whose continuation is filled in by masked diffusion, compared with the dense run from the same seed.',
  },
  image: {
    name: 'page/image',
    title: 'Your own image',
    description: 'One image out of noise, by DDIM with guidance 2, compared with the dense image from the same seed.',
  },
} as const;
