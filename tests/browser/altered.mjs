// The package's worker, after code that alters what it finds in the browser.

/** The source of a worker of the package on the server `root` that runs `code` first. Messages wait until it is loaded. */
export const altered = (root, code) => `
  const waiting = [];
  let ready = false;
  self.addEventListener('message', (event) => {
    if (ready) return;
    waiting.push(event);
    event.stopImmediatePropagation();
  });
  ${code}
  await import('${root}/lorb/worker.js');
  ready = true;
  for (const event of waiting) self.onmessage(event);`;
