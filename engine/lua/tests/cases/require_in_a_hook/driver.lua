load_module()
expect_text(reload_fails("m"), "`late` cannot be loaded by a hook of a reload")
expect(type(require "late"), "table")
reload("m")
