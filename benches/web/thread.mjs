// A thread of the module's pool: the same module in the same memory, until the page closes.

onmessage = async ({ data: { bindings, module, memory } }) => {
  let core;
  try {
    core = await import(bindings);
    await core.default({ module_or_path: module, memory });
  } catch (cause) {
    postMessage({ error: String(cause?.stack ?? cause) });
    return;
  }
  postMessage({});
  core.runThread();
};
