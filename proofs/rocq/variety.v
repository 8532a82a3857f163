(******************************************************************************)
(*          What a skip does to the weights that make one function            *)
(*                                                                            *)
(* Layers are matrices, as in recursion.v; g acts on the channels between two *)
(* layers.  A filter is a polynomial, a stride S the substitution of 'X^S.    *)
(*                                                                            *)
(*   polyphase S p == the sum of 'X^r * (p r \Po 'X^S) over r < S: the filter *)
(*                    with the polyphase parts p 0 .. p (S - 1)               *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Skips.
Variable K : comUnitRingType.

(* a skip over one layer is that layer with other weights *)
Theorem skip_absorbed m n l (V : 'M[K]_(l, m)) (W R : 'M[K]_(m, n)) t b (x : 'cV_n) :
  V *m (W *m x + b + t *: (R *m x)) = V *m ((W + t *: R) *m x + b).
Proof. by rewrite mulmxDl -scalemxAl addrAC. Qed.

(* between two layers any invertible g may act *)
Theorem gl_symmetry l m n (g : 'M[K]_m) (V : 'M_(l, m)) (W : 'M_(m, n)) b (x : 'cV_n) :
  g \in unitmx ->
  (V *m invmx g) *m ((g *m W) *m x + g *m b) = V *m (W *m x + b).
Proof.
by move=> gU; rewrite -(mulmxA g) -mulmxDr mulmxA -(mulmxA V) mulVmx // mulmx1.
Qed.

(* a skip with R = 1 leaves what acts alike at both of its ends *)
Theorem skip_ties l m (g : 'M[K]_m) (V : 'M_(l, m)) t (x y : 'cV_m) :
  g \in unitmx ->
  (V *m invmx g) *m (g *m y + t *: (g *m x)) = V *m (y + t *: x).
Proof.
by move=> gU; rewrite scalemxAr -mulmxDr mulmxA -(mulmxA V) mulVmx // mulmx1.
Qed.

(* and nothing that acts at one end alone *)
Theorem skip_breaks m (g : 'M[K]_m) t :
  g \in unitmx -> t \is a GRing.unit ->
  (forall (V : 'M_m) (x y : 'cV_m),
     (V *m invmx g) *m (g *m y + t *: x) = V *m (y + t *: x)) -> g = 1%:M.
Proof.
move=> gU tU same.
have inv1 : invmx g = 1%:M.
  apply/matrixP => i j; have := same 1%:M (delta_mx j 0) 0.
  rewrite mulmx0 !add0r !mul1mx -scalemxAr => /(congr1 (fun A => t^-1 *: A)).
  rewrite !scalerA mulVr // !scale1r => /matrixP /(_ i 0).
  by rewrite -colE !mxE eqxx andbT => ->.
by rewrite -[g]invmxK inv1 invmx1.
Qed.

End Skips.

Section Polyphase.
Variables (K : idomainType) (S : nat).
Hypothesis S_gt0 : (0 < S)%N.

Definition polyphase (p : 'I_S -> {poly K}) : {poly K} :=
  \sum_(r < S) 'X^r * (p r \Po 'X^S).

Lemma coef_spread (p : {poly K}) n :
  (p \Po 'X^S)`_n = if (S %| n)%N then p`_(n %/ S) else 0.
Proof.
rewrite comp_polyE coef_sum; under eq_bigr do rewrite coefZ -exprM coefXn.
case: ifP => [/dvdnP[q ->]|nS].
  rewrite mulnK //; case: (ltnP q (size p)) => [qp|pq].
    rewrite (bigD1 (Ordinal qp)) //= big1 ?addr0 => [|i iq].
      by rewrite mulnC eqxx mulr1.
    rewrite mulnC eqn_mul2l eqn0Ngt S_gt0 /= eq_sym.
    by rewrite (negbTE iq : (i == q :> nat) = false) mulr0.
  rewrite nth_default // big1 // => i _.
  rewrite mulnC eqn_mul2l eqn0Ngt S_gt0 /= gtn_eqF ?mulr0 //.
  exact: leq_trans (ltn_ord i) pq.
rewrite big1 // => i _; case: eqP => [e|]; last by rewrite mulr0.
by rewrite e dvdn_mulr in nS.
Qed.

(* a layer behind the stride S multiplies every part *)
Theorem polyphase_mul (u : 'I_S -> {poly K}) v :
  polyphase u * (v \Po 'X^S) = polyphase (fun r => u r * v).
Proof.
rewrite /polyphase big_distrl; apply: eq_bigr => r _ /=.
by rewrite comp_polyM mulrA.
Qed.

(* the parts are the taps r, r + S, r + 2 S, ... *)
Theorem polyphase_coef (p : 'I_S -> {poly K}) (r : 'I_S) q :
  (polyphase p)`_(q * S + r) = (p r)`_q.
Proof.
rewrite coef_sum (bigD1 r) //= big1 ?addr0 => [|s sr].
  rewrite coefXnM ltnNge leq_addl /= addnK coef_spread.
  by rewrite dvdn_mull // mulnK.
rewrite coefXnM; case: ifP => // /negbT; rewrite -leqNgt => sle.
rewrite coef_spread; case: ifP => // dvd.
case/eqP: sr; apply/val_inj => /=.
have /eqP := dvd; rewrite /dvdn => /eqP mod0.
have e : ((q * S + r - s) + s)%N = (q * S + r)%N by rewrite subnK.
have : ((q * S + r) %% S = s %% S)%N by rewrite -e -modnDml (eqP dvd) add0n.
by rewrite modnMDl !modn_small.
Qed.

(* so a layer behind the stride divides all of them, whatever the filter was *)
Theorem last_layer_divides (u p : 'I_S -> {poly K}) v :
  polyphase p = polyphase u * (v \Po 'X^S) -> forall r, p r = u r * v.
Proof.
rewrite polyphase_mul => e r; apply/polyP => q.
by rewrite -polyphase_coef e polyphase_coef.
Qed.

End Polyphase.

(* J is the Jacobian, its entries polynomials with integer coefficients in the *)
(* weights; at_point is a point modulo a prime, generic the inclusion in the  *)
(* field of rational functions, whose rank is the dimension                   *)
Section LowerBound.
Variables (R : comRingType) (F K : fieldType).
Variables (at_point : {rmorphism R -> F}) (generic : {rmorphism R -> K}).
Hypothesis generic_inj : injective generic.

Lemma mxsub_rank (L : fieldType) m n r q (s : 'I_r -> 'I_m) (t : 'I_q -> 'I_n)
  (A : 'M[L]_(m, n)) : (\rank (mxsub s t A) <= \rank A)%N.
Proof.
have rows p k (u : 'I_p -> 'I_k) l (B : 'M[L]_(k, l)) :
  (\rank (rowsub u B) <= \rank B)%N by rewrite rowsubE mxrankM_maxr.
rewrite mxsubrc; apply: leq_trans (rows _ _ _ _ _) _.
by rewrite -mxrank_tr trmx_mxsub -[X in (_ <= X)%N]mxrank_tr; apply: rows.
Qed.

Lemma unit_minor (L : fieldType) m n (A : 'M[L]_(m, n)) :
  exists (s : 'I_(\rank A) -> 'I_m) (t : 'I_(\rank A) -> 'I_n),
  mxsub s t A \in unitmx.
Proof.
have full : row_full (rowsub (maxrankfun A) A)^T.
  by rewrite /row_full mxrank_tr; apply: maxrowsub_free.
exists (maxrankfun A), (fullrankfun full).
have := fullrowsub_unit full; move: (fullrankfun full) => t.
by move=> unit; rewrite mxsubcr -unitmx_tr trmx_mxsub.
Qed.

(* the rank at a point modulo a prime is never more than the dimension *)
Theorem rank_at_a_point m n (J : 'M[R]_(m, n)) :
  (\rank (map_mx at_point J) <= \rank (map_mx generic J))%N.
Proof.
have [s [t]] := unit_minor (map_mx at_point J).
rewrite -map_mxsub unitmxE det_map_mx unitfE => nz.
apply: leq_trans (mxsub_rank s t _).
rewrite mxrank_unit // -map_mxsub unitmxE det_map_mx unitfE.
apply: contra_neq nz => zero; have -> : \det (mxsub s t J) = 0.
  by apply: generic_inj; rewrite zero rmorph0.
exact: rmorph0.
Qed.

End LowerBound.

Print Assumptions skip_absorbed.
Print Assumptions gl_symmetry.
Print Assumptions skip_ties.
Print Assumptions skip_breaks.
Print Assumptions polyphase_mul.
Print Assumptions polyphase_coef.
Print Assumptions last_layer_divides.
Print Assumptions rank_at_a_point.
