# The acceptance suite of Coppice as tests of ReFrame, one for each level. Sanity is the verdict on correctness; figures are
# performance variables, for which a site gives references as for any test (a figure without one is logged, not judged).
#   reframe -C settings.py -c coppice.py -r --performance-report [-S CoppiceValidate.suite=PREFIX/bin/coppice-validate]
import json
import os

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.builtins import parameter, run_before, sanity_function, variable


@rfm.simple_test
class CoppiceValidate(rfm.RunOnlyRegressionTest):
    descr = 'coppice-validate, a level'
    level = parameter(['L0', 'L1', 'L2', 'L3', 'L4'])
    suite = variable(str, value='coppice-validate')
    options = variable(str, value='')  # more of its options: --ranks 8 --launcher 'srun --mpi=pmix'
    valid_systems = ['*']
    valid_prog_environs = ['*']
    local = True  # the suite starts ranks itself, and submits its own job where there is a batch system
    time_limit = '30m'
    tags = {'production', 'acceptance'}

    @run_before('run')
    def prepare(self):
        self.executable = self.suite
        self.executable_opts = ['quick', '--only', self.level, '--out', 'results', *self.options.split()]
        self.keep_files = ['results']

    @sanity_function
    def correct(self):
        return sn.and_(
            sn.assert_found(r'^VALIDATION: PASSED', self.stdout, 'the last line is no PASSED'),
            sn.assert_eq(self.results()['passed'], self.results()['total'], '{0} of {1} tests passed'),
        )

    @run_before('performance')
    def figures(self):
        self.perf_variables = {}
        for figure in self.results()['figures']:
            name = figure['name'].replace('.', '_')
            self.perf_variables[name] = sn.make_performance_function(sn.defer(float(figure['value'])), figure['unit'])

    def results(self):
        with open(os.path.join(self.stagedir, 'results', 'results.json')) as file:
            return json.load(file)
