// Copy buttons beside code; contents that are closed on a small screen. Without scripts the page is complete too.
'use strict';
const copied = async text => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // a page from a file may not use the clipboard
    const field = document.createElement('textarea');
    field.value = text;
    field.setAttribute('readonly', '');
    field.style.position = 'fixed';
    field.style.opacity = '0';
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
};
for (const pre of document.querySelectorAll('.code pre')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'copy';
  button.addEventListener('click', async () => {
    await copied(pre.textContent.replace(/\n$/, '') + '\n');
    button.textContent = 'copied';
    setTimeout(() => { button.textContent = 'copy'; }, 1500);
  });
  pre.parentElement.prepend(button);
}
const contents = document.querySelector('nav details');
const small = matchMedia('(max-width: 1000px)');
const fold = () => { contents.open = !small.matches; };
small.addEventListener('change', fold);
fold();
contents.addEventListener('click', event => {
  if (small.matches && event.target.closest('a')) contents.open = false;
});
