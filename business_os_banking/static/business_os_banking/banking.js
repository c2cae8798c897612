/* Keeps the landing page up to date, and says "one moment" when a form leaves for the bank.
   Everything works without it. */
(() => {
  "use strict";

  const WATCH_FOR = 120000; // milliseconds; after that the person decides
  const PATIENCE = 10000; // milliseconds for one answer
  const delays = {
    waiting: [1000, 1000, 1500], // the person is looking: an answer shows within two seconds
    settled: [3000, 5000, 8000], // a late success may still replace what is shown
    trouble: [2000, 3000, 5000, 8000], // our own site does not answer: give it room
  };

  function watch(page) {
    const data = page.dataset;
    const find = (name) => page.querySelector(`[data-bank-${name}]`);
    const check = document.querySelector("[data-bank-check]");
    const reference = document.querySelector("[data-bank-reference]");
    let timer = 0;
    let tries = 0;
    let troubles = 0;
    let until = performance.now() + WATCH_FOR; // no clock that somebody sets
    let asking = false;
    let stopped = data.final === "true";

    function write(tone, title, text, next) {
      data.tone = tone;
      find("outcome").dataset.tone = tone;
      find("title").textContent = title;
      find("text").textContent = text;
      find("next").textContent = next;
      document.title = title;
      if (reference) reference.hidden = tone !== "bad";
    }

    function enter(phase) {
      data.phase = phase;
      document.querySelectorAll("[data-when]").forEach((element) => {
        element.hidden = !element.dataset.when.split(" ").includes(phase);
      });
    }

    function show(answer) {
      const stored = `${answer.phase} ${answer.title} ${answer.message}`;
      const same = data.stored === stored;
      // What is asked depends on whose browser this is, which the page alone is told.
      if (data.phase === "question" ? !same : answer.phase === "held") {
        stopped = true;
        window.location.reload();
        return;
      }
      if (data.phase === "question") return;
      data.final = String(answer.final);
      data.status = answer.status;
      data.connectionStatus = answer.connection_status;
      stopped = answer.final;
      // While nothing has changed, what stands there may say more than the stored state does.
      if (same && data.phase !== "slow") return;
      data.stored = stored;
      write(answer.tone, answer.title, answer.message, answer.next_step);
      enter(answer.phase);
    }

    // Whether the page that opened this one could be told how it stands.
    function tellOpener() {
      const message = {
        source: "business_os_banking",
        reference: data.reference,
        status: data.status,
        connection_status: data.connectionStatus,
        final: data.final === "true",
      };
      try {
        // Reading the origin of a page of another site throws; a message to one would be dropped without a word.
        if (window.opener.location.origin !== window.location.origin) return false;
        window.opener.postMessage(message, window.location.origin);
        return true;
      } catch {
        return false; // no opener, or none of ours: this is an ordinary page
      }
    }

    function plan() {
      window.clearTimeout(timer);
      if (stopped && data.final === "true" && tellOpener()) window.setTimeout(() => window.close(), 1500);
      if (stopped || document.hidden) return;
      if (performance.now() >= until) {
        if (data.tone === "waiting") {
          write("waiting", data.slowTitle, data.slowText, data.slowNext);
          enter("slow");
        }
        return;
      }
      let steps = data.tone === "waiting" ? delays.waiting : delays.settled;
      let step = tries;
      if (troubles) {
        steps = delays.trouble;
        step = troubles - 1;
      }
      timer = window.setTimeout(ask, steps[Math.min(step, steps.length - 1)]);
    }

    async function ask() {
      if (asking) return;
      asking = true;
      try {
        const response = await fetch(data.statusUrl, {
          credentials: "same-origin",
          cache: "no-store",
          headers: { Accept: "application/json" },
          signal: AbortSignal.timeout?.(PATIENCE), // older browsers go without
        });
        if (response.status === 404) {
          stopped = true; // the attempt was erased: nothing more to learn
          const gone = await response.json();
          write(gone.tone, gone.title, gone.message, gone.next_step);
          enter("attention");
          return;
        }
        if (!response.ok) throw new Error(String(response.status));
        const before = data.tone;
        show(await response.json());
        troubles = 0;
        tries = data.tone === before ? tries + 1 : 0;
      } catch {
        troubles += 1;
      } finally {
        asking = false;
        plan();
      }
    }

    if (check) {
      check.addEventListener("click", (event) => {
        event.preventDefault();
        until = performance.now() + WATCH_FOR;
        tries = 0;
        window.clearTimeout(timer);
        ask();
      });
    }
    document.querySelectorAll("[data-bank-leave]").forEach((link) => {
      link.addEventListener("click", (event) => {
        if (!tellOpener()) return;
        event.preventDefault(); // what the link leads to is open in the page that opened this one
        window.close();
      });
    });
    document.addEventListener("visibilitychange", () => {
      window.clearTimeout(timer);
      if (!document.hidden && !stopped) ask();
    });
    enter(data.phase); // hides what is for pages whose script does not run
    plan();
  }

  function announceLeaving(form) {
    const outside = form.id ? document.querySelector(`button[form="${form.id}"]`) : null;
    const button = outside || form.querySelector("button");
    if (!button) return;
    const label = [...button.childNodes];
    form.addEventListener("submit", () => {
      button.textContent = form.dataset.bankBusy;
      button.setAttribute("aria-busy", "true");
    });
    // Back from the bank with the back button: browsers show the page just as it was left.
    window.addEventListener("pageshow", () => {
      button.replaceChildren(...label);
      button.removeAttribute("aria-busy");
    });
  }

  document.querySelectorAll("[data-bank-return]").forEach(watch);
  document.querySelectorAll("form[data-bank-busy]").forEach(announceLeaving);
})();
