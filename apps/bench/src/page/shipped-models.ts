/** Models whose weights are among the page's own files. */
export const shippedModels: readonly string[] = ['persuasion-bytes', 'persuasion-diffusion', 'shapes-dit', 'scenes'];
