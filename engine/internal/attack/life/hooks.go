package life

import "time"

func (w *World) startHooks(l *Lead) {
	l.hook, l.HookSince, l.hookFails, l.Told = 0, time.Time{}, nil, w.View(l)
}

// HookDue is the name of the hook that is to be called for the lead now, or "".
func (w *World) HookDue(l *Lead) string {
	if l.Doing == Hooking && l.HookSince.IsZero() {
		return w.Hooks[l.hook]
	}
	return ""
}

// HookCalled tells that the hook that was due was called.
func (w *World) HookCalled(l *Lead) { l.HookSince = w.Now }

// HookAnswered tells that the running hook has returned, or has timed out. Its error is
// recorded, and delays nothing (promise 4).
func (w *World) HookAnswered(l *Lead, failure string) {
	if failure != "" {
		l.hookFails = append(l.hookFails, w.Hooks[l.hook]+": "+failure)
	}
	l.HookSince = time.Time{}
	if l.hook++; l.hook == len(w.Hooks) {
		w.complete(l)
	}
}
