local M = load_module()
expect(reload(), "unchanged m\n")
expect(M.f(), 1)
