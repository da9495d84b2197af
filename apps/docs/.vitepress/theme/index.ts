import DefaultTheme from 'vitepress/theme-without-fonts';
import { h } from 'vue';
import './site.css';

/** The two commands stand on the first screen. */
const commands = () =>
  h('pre', { class: 'home-commands' }, [
    h(
      'code',
      'npm i @saccade/core @saccade/models @saccade/tidaldecode webgpu\nnpm start   # in a clone: dense and sparse, compared',
    ),
  ]);

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { 'home-hero-actions-after': commands }),
};
