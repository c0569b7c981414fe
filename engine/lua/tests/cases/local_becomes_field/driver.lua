local M = load_module()
reload()
expect(M.step(), "new")
expect(M.held[1](), "new")
