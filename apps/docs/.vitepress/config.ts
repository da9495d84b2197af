import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

const sidebarFile = fileURLToPath(new URL('../.site/sidebar.json', import.meta.url));
const sidebar = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];

export default defineConfig({
  title: 'Saccade',
  description:
    'Attention methods for WebGPU: models in the browser or in Node that look only where the information is.',
  srcDir: '.site',
  outDir: 'dist',
  // A site below a folder of its host: DOCS_BASE=/saccade/
  base: process.env.DOCS_BASE ?? '/',
  cleanUrls: false,
  lastUpdated: false,
  // TypeDoc's pages are files beside the site's; src/links/check-site.ts looks whether they exist.
  ignoreDeadLinks: [/^\/api\//],
  markdown: { theme: { light: 'github-light', dark: 'github-dark' } },
  vite: { build: { chunkSizeWarningLimit: 8000 } },
  themeConfig: {
    nav: [
      { text: 'Start', link: '/guides/start' },
      { text: 'Guides', link: '/guides/run-a-model' },
      { text: 'Methods', link: '/methods/' },
      { text: 'API', link: '/reference/' },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
  },
});
