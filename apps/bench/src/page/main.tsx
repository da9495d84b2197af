import { render } from 'preact';
import { palette } from '../report/style.ts';
import { open } from './client.ts';
import { App } from './components/app.tsx';

const style = document.createElement('style');
style.textContent = palette;
document.head.append(style);
const page = document.querySelector('#page');
if (page) {
  page.textContent = '';
  render(<App />, page);
}
// A file that misses its place must not replace the page.
for (const type of ['dragover', 'drop']) addEventListener(type, (event) => event.preventDefault());
void open();
