expect(load_module(), 5)
reload()
expect(require "m", 6)
