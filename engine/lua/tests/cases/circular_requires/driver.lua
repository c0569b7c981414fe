local M = load_module()
expect(M.other.m(), M)
expect_text(reload_fails("m", "other"), "modules require each other while they load: m -> other -> m")
expect(M.new, nil)
