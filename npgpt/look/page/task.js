// Work in parts, between which the page shows what was found and answers.

import { pass, set, state } from "./state.js";

const LONG = 40; // milliseconds of work after which the page is drawn

// At most one run at a time, which ends at its next pause if its inputs have changed.
//   inputs  returns what the result depends on, as an array
//   work    an async function of `pause`, which it awaits between its parts; pause(milliseconds)
//           waits so long, pause() only after LONG
export class Task {
  constructor(inputs, work) {
    Object.assign(this, { inputs, work, run: null });
  }

  // Whether there is a run of the present inputs.
  get current() {
    return this.run?.key === JSON.stringify(this.inputs());
  }

  get done() {
    return this.current && this.run.over;
  }

  async start() {
    const run = (this.run = { key: JSON.stringify(this.inputs()), over: false });
    let drawn = -LONG;
    await this.work(async (milliseconds) => {
      if (milliseconds === undefined && performance.now() < drawn + LONG) return;
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      if (this.run === run && !this.current) this.run = null;
      if (this.run !== run) await new Promise(() => {}); // it never goes on
      set({});
      drawn = performance.now();
    });
    run.over = true;
    set({});
  }
}

// A task of the shown view on the text that was read.
export function taskOnText(inputs, work) {
  return new Task(() => [state.view, pass.ids, pass.version, ...inputs()], work);
}
