/* Keeps the landing page up to date, and says "one moment" when a form leaves for the bank.
   Everything works without it. */
(() => {
  "use strict";

  const WATCH_FOR = 120000; // milliseconds; after that the person decides
  const delays = {
    waiting: [1000, 1000, 1500], // the person is looking: an answer shows within two seconds
    settled: [3000, 5000, 8000], // a late success may still replace what is shown
    trouble: [2000, 3000, 5000, 8000], // our own site does not answer: give it room
  };

  function watch(page) {
    const data = page.dataset;
    const find = (name) => page.querySelector(`[data-bank-${name}]`);
    const check = document.querySelector("[data-bank-check]");
    let timer = 0;
    let tries = 0;
    let troubles = 0;
    let until = Date.now() + WATCH_FOR;
    let asking = false;
    let stopped = data.final === "true";

    function write(tone, title, text, next) {
      data.tone = tone;
      find("outcome").dataset.tone = tone;
      find("title").textContent = title;
      find("text").textContent = text;
      find("next").textContent = next;
      document.title = title;
    }

    function enter(phase) {
      data.phase = phase;
      document.querySelectorAll("[data-when]").forEach((element) => {
        element.hidden = !element.dataset.when.split(" ").includes(phase);
      });
    }

    function phaseOf(answer) {
      if (answer.tone === "waiting") return "waiting";
      if (answer.tone === "good") return "done";
      return answer.final ? "attention" : "problem";
    }

    function show(answer) {
      const same = data.status === answer.status && data.connectionStatus === answer.connection_status;
      data.final = String(answer.final);
      stopped = answer.final;
      // While nothing has changed, what stands there may say more than the stored state does.
      if (same && data.phase !== "slow") return;
      data.status = answer.status;
      data.connectionStatus = answer.connection_status;
      write(answer.tone, answer.title, answer.message, answer.next_step);
      enter(phaseOf(answer));
    }

    function tellOpener() {
      if (!window.opener || data.final !== "true") return;
      const message = {
        source: "business_os_banking",
        reference: data.reference,
        status: data.status,
        connection_status: data.connectionStatus,
      };
      try {
        window.opener.postMessage(message, window.location.origin);
      } catch {
        return; // another browsing context took over: stay here as an ordinary page
      }
      window.setTimeout(() => window.close(), 1500);
    }

    function plan() {
      window.clearTimeout(timer);
      if (stopped) tellOpener();
      if (stopped || document.hidden) return;
      if (Date.now() >= until) {
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
        });
        if (response.status === 404) {
          stopped = true; // the attempt was erased: nothing more to learn
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
        until = Date.now() + WATCH_FOR;
        tries = 0;
        window.clearTimeout(timer);
        ask();
      });
    }
    document.addEventListener("visibilitychange", () => {
      window.clearTimeout(timer);
      if (!document.hidden && !stopped) ask();
    });
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
